//! What a process inside is: ids, capabilities, groups, filters.

use std::os::unix::fs::{PermissionsExt, chown};

use stockade_domain::ControlKind;

use super::privileges::{NO_NAMESPACES, OWN_NAMESPACES};
use crate::canary::{Canary, FileCanary, Proof, Seen};
use crate::denial::{DONE, Denial, arguments, held};
use crate::inside::OWN_FILTER;
use crate::{Field, Probe, Setting, Severity, Verdict, broken, ensure, ensure_sound, host, skip};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "PV02",
        Severity::High,
        "being the host's root: what only root may read",
        Denial::new("PV02", OnlyRoot::plant),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV03",
        Severity::High,
        "capability sets: effective, permitted, inheritable, ambient, bounding",
        Denial::new("PV03", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV04",
        Severity::High,
        "gaining rights by executing: no_new_privs of every thread",
        Denial::new("PV04", Proof::plant).control_if("nothing can be gained by executing outside, either"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::question(
        "PV08",
        Severity::High,
        "groups of the launcher: what only they may read",
        groups,
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "PV10",
        Severity::Medium,
        "raising capabilities, and keeping them: capset, secure bits, ambient and bounding set",
        Denial::new("PV10", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::question(
        "PV11",
        Severity::Medium,
        "a filter on every thread, to which a program can add its own",
        filtered,
    )
    .needs(&[ControlKind::SyscallFilter]),
];

/// A file that nobody but root can read, shown to the sandbox.
struct OnlyRoot(FileCanary);

impl OnlyRoot {
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        if !host::is_root() {
            return skip("a file of another owner needs root");
        }
        Ok(Box::new(Self(shown_with_mode(field, 0, 0o600)?)))
    }
}

impl Canary for OnlyRoot {
    fn outside(&self) -> Vec<String> {
        self.0.outside()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        self.0.reached(seen)
    }

    fn flags(&self) -> Vec<String> {
        show(&self.0)
    }
}

/// A file of root's with a group and a mode, in a directory that may be shown.
fn shown_with_mode(field: &Field, group: u32, mode: u32) -> Verdict<FileCanary> {
    field.ground.let_everybody_in()?;
    let name = format!("outside/owned-{}/file", field.ground.number());
    field.ground.file(&name, "")?;
    let path = field.ground.path(&name);
    chown(&path, None, Some(group))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    FileCanary::at(field, &name)
}

/// Its directory: a file that cannot be read is no file that can be shown by itself.
fn show(file: &FileCanary) -> Vec<String> {
    let directory = file.path().parent().unwrap_or(file.path());
    vec!["--ro".into(), directory.display().to_string()]
}

/// The launcher is in a group that may read a file. Nobody knows that group on this host.
fn groups(field: &Field) -> Verdict {
    const GROUP: u32 = 3_987_654_321;
    const MODE: u32 = 0o040;
    if !host::is_root() {
        return skip("giving a process another group needs root");
    }
    let member = format!("--groups={GROUP}");
    let mut file = shown_with_mode(field, GROUP, MODE)?;
    let words = arguments("PV08", file.outside());
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", &member];
    let control = field.ground.outside(&wrapper, &[], &words)?;
    let seen = Seen {
        output: control.text(),
    };
    ensure_sound!(
        file.reached(&seen).is_some(),
        "the control read nothing: {}",
        control.all()
    );
    let mut file = shown_with_mode(field, GROUP, MODE)?;
    let setting = Setting {
        flags: show(&file),
        launcher: vec!["setpriv".into(), member],
        ..Setting::default()
    };
    let words = arguments("PV08", file.outside());
    held("PV08", &field.wall.attack(&setting, &words)?, &mut file)
}

/// A filter must be there inside, and must not keep programs from adding one of their own.
fn filtered(field: &Field) -> Verdict {
    let words = ["PV11".to_owned()];
    let control = field.ground.outside(&[], &[], &words)?;
    if !control.text().contains("REACHED") {
        return skip("inconclusive: a filter is in force outside, too");
    }
    ensure_sound!(
        control.text().contains(OWN_FILTER),
        "the control could add no filter: {}",
        control.all()
    );
    let inside = field.wall.attack(&Setting::default(), &words)?;
    if !inside.text().lines().any(|line| line == DONE) {
        return broken(format!("it did not run to its end: {}", inside.all()));
    }
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    ensure!(
        inside.text().contains(OWN_FILTER),
        "a program cannot add a filter of its own: {}",
        inside.all()
    );
    Ok(())
}
