//! Rights of root, ids, time, names.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use stockade_domain::ControlKind;

use crate::canary::{Canary, Proof, Seen};
use crate::denial::Denial;
use crate::{Field, Probe, Severity, Verdict, host, skip};

/// An ordinary user of the host.
const AS_NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/// Root of namespaces of its own.
pub(super) const OWN_NAMESPACES: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--uts",
];
pub(super) const NO_NAMESPACES: &str = "ordinary users cannot make namespaces here";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "PV01",
        Severity::Critical,
        "calls of the system's administrator",
        Denial::new("PV01", Proof::plant).control_if("they need root"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV05",
        Severity::Critical,
        "a set-id program of root's",
        Denial::new("PV05", SetId::plant).wrapped(AS_NOBODY),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV06",
        Severity::High,
        "set-id programs in the workspace, found there and made there",
        Denial::new("PV06", SetId::in_workspace).wrapped(AS_NOBODY),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV07",
        Severity::High,
        "becoming root or another group",
        Denial::new("PV07", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV09",
        Severity::High,
        "new user namespaces, by every call",
        Denial::new("PV09", Proof::plant).control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::NestedNamespacesOff]),
    Probe::denial(
        "DV04",
        Severity::High,
        "mounting anything, by the old calls and the new",
        Denial::new("DV04", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "TM01",
        Severity::High,
        "setting the clock",
        Denial::new("TM01", Proof::plant).control_if("it needs root"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "TM02",
        Severity::Medium,
        "setting the host's name",
        Denial::new("TM02", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "RS10",
        Severity::Medium,
        "priorities above those of others",
        Denial::new("RS10", Proof::plant).control_if("they need root"),
    )
    .needs(&[ControlKind::Privileges]),
];

/// The payload with the set-id bits and another owner, where everybody can execute it.
struct SetId {
    program: PathBuf,
    flags: Vec<String>,
}

impl SetId {
    /// Root's, shown to the sandbox.
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let mut this = Self::at(field, "outside/attack-set-id", 0)?;
        this.flags = vec!["--ro".into(), this.program.display().to_string()];
        Ok(Box::new(this))
    }

    /// Another user's, in the workspace.
    fn in_workspace(field: &Field) -> Verdict<Box<dyn Canary>> {
        const SOMEBODY: u32 = 60_606;
        let mut this = Self::at(field, "work/attack-set-id", SOMEBODY)?;
        // A sandbox of its own: copies of the workspace that others have do not hold it.
        this.flags = vec!["--env".into(), "SET_ID=1".into()];
        Ok(Box::new(this))
    }

    fn at(field: &Field, name: &str, owner: u32) -> Verdict<Self> {
        if !host::is_root() {
            return skip("a set-id program of another owner needs root");
        }
        field.ground.let_everybody_in()?;
        let program = field.ground.path(name);
        std::fs::copy(field.ground.payload(), &program)?;
        chown(&program, Some(owner), Some(owner))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755))?;
        Ok(Self {
            program,
            flags: Vec::new(),
        })
    }
}

impl Canary for SetId {
    fn outside(&self) -> Vec<String> {
        vec![self.program.display().to_string()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        seen.output
            .lines()
            .find(|line| line.starts_with("REACHED"))
            .map(str::to_owned)
    }

    fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }
}

impl Drop for SetId {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}
