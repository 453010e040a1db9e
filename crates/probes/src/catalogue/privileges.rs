//! Rights of root, ids, time, names.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use stockade_domain::ControlKind;

use crate::canary::{Canary, Proof, Seen};
use crate::denial::Denial;
use crate::{Field, Probe, Severity, Verdict, host, skip};

/// An ordinary user of the host.
const AS_NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/// Root of namespaces of its own.
const OWN_NAMESPACES: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--uts",
];

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
        "PV07",
        Severity::High,
        "becoming root or another group",
        Denial::new("PV07", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV09",
        Severity::High,
        "new user namespaces, by every call",
        Denial::new("PV09", Proof::plant).control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::NestedNamespacesOff]),
    Probe::denial(
        "DV04",
        Severity::High,
        "mounting anything, by the old calls and the new",
        Denial::new("DV04", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("ordinary users cannot make namespaces here"),
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
            .control_if("ordinary users cannot make namespaces here"),
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

/// The payload, owned by root with the set-id bits, where everybody can execute it.
struct SetId {
    program: PathBuf,
}

impl SetId {
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        if !host::is_root() {
            return skip("a set-id program of another owner needs root");
        }
        for name in ["", "outside", "work"] {
            std::fs::set_permissions(field.ground.path(name), std::fs::Permissions::from_mode(0o755))?;
        }
        let program = field.ground.path("outside/attack-set-id");
        std::fs::copy(field.ground.payload(), &program)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755))?;
        Ok(Box::new(Self { program }))
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
        vec!["--ro".into(), self.program.display().to_string()]
    }
}
