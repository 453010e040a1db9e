//! Rights of root, ids, time, names.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use stockade_conformance::canary::{Canary, Proof, Seen};
use stockade_conformance::denial::Denial;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, host, skip};

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

pub const ALL: &[Behaviour] = &[
    Behaviour::denial(
        "PV01",
        "calls of the system's administrator",
        Denial::new("PV01", Proof::plant).control_if("they need root"),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::denial(
        "PV05",
        "a set-id program of root's",
        Denial::new("PV05", SetId::plant).wrapped(AS_NOBODY),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::test(
        "PV06",
        "no mount inside honours set-id bits or device nodes",
        no_set_id_mounts,
    )
    .uses(&[Ability::Procfs]),
    Behaviour::denial(
        "PV07",
        "becoming root or another group",
        Denial::new("PV07", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::denial(
        "PV09",
        "new user namespaces, by every call",
        Denial::new("PV09", Proof::plant).control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::NestedNamespacesOff]),
    Behaviour::denial(
        "DV04",
        "mounting anything, by the old calls and the new",
        Denial::new("DV04", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::denial(
        "TM01",
        "setting the clock",
        Denial::new("TM01", Proof::plant).control_if("it needs root"),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::denial(
        "TM02",
        "setting the host's name",
        Denial::new("TM02", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("ordinary users cannot make namespaces here"),
    )
    .needs(&[ControlKind::Privileges]),
    Behaviour::denial(
        "RS10",
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
    fn plant(world: &World) -> Verdict<Box<dyn Canary>> {
        if !host::is_root() {
            return skip("a set-id program of another owner needs root");
        }
        for name in ["", "outside", "work"] {
            std::fs::set_permissions(world.path(name), std::fs::Permissions::from_mode(0o755))?;
        }
        let program = world.path("outside/attack-set-id");
        std::fs::copy(world.payload(), &program)?;
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

fn no_set_id_mounts(world: &World) -> Verdict {
    let text = world.run(&["cat", "/proc/self/mountinfo"])?.expect(0)?.text();
    ensure!(text.lines().count() > 5, "few mounts: {text}");
    for line in text.lines() {
        let options = line.split(' ').nth(5).unwrap_or_default();
        let at = line.split(' ').nth(4).unwrap_or_default();
        // What covers other files is the null device itself.
        let null = line.split(' ').nth(3) == Some("/null");
        ensure!(options.contains("nosuid"), "{at} honours set-id bits: {line}");
        ensure!(
            options.contains("nodev") || null || at.starts_with("/dev"),
            "{at} honours device nodes: {line}"
        );
    }
    Ok(())
}
