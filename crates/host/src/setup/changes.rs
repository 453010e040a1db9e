//! Which changes a host needs. Changes nothing.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Change, Kind, Step, below};

const APPARMOR_SWITCH: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const APPARMOR_PROFILE: &str = "/etc/apparmor.d/stockade";
const DELEGATION: &str = "/etc/systemd/system/user@.service.d/60-stockade.conf";
const SYSCTL: &str = "/etc/sysctl.d/60-stockade.conf";
/// What limits are made of.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Switches of the kernel that keep user namespaces from ordinary users when they are 0, and
/// what turns them on.
const SWITCHES: [(&str, &str); 2] = [
    ("/proc/sys/user/max_user_namespaces", "10000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "1"),
];

/// For whom, and how far to go.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The installed program, as the system names it.
    pub program: PathBuf,
    /// The user who asked for root's help.
    pub user: Option<u32>,
    /// Turn on switches of the kernel that an administrator may have turned off on purpose.
    pub sysctl: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// What to change.
    pub changes: Vec<Change>,
    /// What deserves a word and is not changed.
    pub notes: Vec<String>,
}

/// Looks at the system below `root`.
#[must_use]
pub fn survey(root: &Path, wanted: &Wanted) -> Survey {
    let mut found = Survey::default();
    apparmor(root, wanted, &mut found);
    delegation(root, wanted, &mut found);
    switches(root, wanted, &mut found);
    found
}

/// What a small file says; none where there is no such file.
fn read(root: &Path, path: &str, found: &mut Survey) -> Option<String> {
    match std::fs::read_to_string(below(root, Path::new(path))) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            found.notes.push(format!(
                "{path} cannot be read, so nothing is changed for it: {error}"
            ));
            None
        }
    }
}

fn apparmor(root: &Path, wanted: &Wanted, found: &mut Survey) {
    if read(root, APPARMOR_SWITCH, found).is_none_or(|value| value == "0") {
        return;
    }
    let program = match nameable(root, &wanted.program) {
        Ok(program) => program,
        Err(why) => {
            found.notes.push(format!("no AppArmor profile: {why}"));
            return;
        }
    };
    let path = Path::new(APPARMOR_PROFILE);
    let parser = |option| Some(Step::new("apparmor_parser", &[option], Some(path)));
    found.changes.push(Change {
        why: "AppArmor gives programs without a profile no rights in user namespaces".to_owned(),
        path: path.to_owned(),
        content: format!(
            "# Written by `stockade setup`; `stockade setup --undo` removes it.\nabi <abi/4.0>,\n\n\
             profile stockade \"{program}\" flags=(unconfined) {{\n  userns,\n\n  include if exists <local/stockade>\n}}\n"
        ),
        kind: Kind::New,
        activate: parser("--replace"),
        before_undo: parser("--remove"),
        after_undo: None,
    });
}

/// A profile gives rights to whatever lies at a path: it must be root's to write, and must not
/// mean other paths as well.
fn nameable(root: &Path, program: &Path) -> Result<String, String> {
    let shown = program.display();
    let text = program.to_str().filter(|text| text.starts_with('/'));
    let text = text.ok_or_else(|| format!("{shown} is no absolute path in UTF-8"))?;
    if text
        .chars()
        .any(|letter| "*?[]{}^\"\\@".contains(letter) || letter.is_control())
    {
        return Err(format!(
            "{shown} has characters in it that mean more than themselves in a profile"
        ));
    }
    let owner =
        |path: &Path| std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()));
    let administrator = owner(root)?.uid();
    for part in program.ancestors() {
        let seen = owner(&below(root, part))?;
        if seen.uid() != administrator || seen.mode() & 0o022 != 0 {
            return Err(format!(
                "{} can be written by others than root, who could then put another program at {shown}; \
                 install it: sudo install -m755 {shown} /usr/local/bin/stockade, and run setup from there",
                part.display()
            ));
        }
    }
    Ok(text.to_owned())
}

fn delegation(root: &Path, wanted: &Wanted, found: &mut Survey) {
    let Some(user) = wanted.user.filter(|user| *user != 0) else {
        return;
    };
    let manager =
        format!("/sys/fs/cgroup/user.slice/user-{user}.slice/user@{user}.service/cgroup.controllers");
    let Some(list) = read(root, &manager, found) else {
        return;
    };
    let given: Vec<&str> = list.split_whitespace().collect();
    let missing: Vec<_> = CONTROLLERS
        .into_iter()
        .filter(|one| !given.contains(one))
        .collect();
    if missing.is_empty() {
        return;
    }
    let reload = || Some(Step::new("systemctl", &["daemon-reload"], None));
    found.changes.push(Change {
        why: format!("systemd does not delegate {} to user {user}", missing.join(", ")),
        path: DELEGATION.into(),
        content: "# Written by `stockade setup`; `stockade setup --undo` removes it.\n[Service]\nDelegate=cpu cpuset io memory pids\n".to_owned(),
        kind: Kind::New,
        activate: reload(),
        before_undo: None,
        after_undo: reload(),
    });
    found
        .notes
        .push("log out and in again for the delegation to take effect".to_owned());
}

fn switches(root: &Path, wanted: &Wanted, found: &mut Survey) {
    let mut lines = String::new();
    for (path, on) in SWITCHES {
        if read(root, path, found).is_none_or(|value| value != "0") {
            continue;
        }
        let name = path.trim_start_matches("/proc/sys/").replace('/', ".");
        if !wanted.sysctl {
            found.notes.push(format!(
                "{name} = 0 keeps user namespaces from users; `--sysctl` sets it to {on}"
            ));
            continue;
        }
        lines.push_str(&format!("{name} = {on}\n"));
        found.changes.push(Change {
            why: format!("{name} = 0 keeps user namespaces from users"),
            path: path.into(),
            content: on.to_owned(),
            kind: Kind::Value,
            activate: None,
            before_undo: None,
            after_undo: None,
        });
    }
    if !lines.is_empty() {
        found.changes.push(Change {
            why: "so that it stays after the next start".to_owned(),
            path: SYSCTL.into(),
            content: format!("# Written by `stockade setup`; `stockade setup --undo` removes it.\n{lines}"),
            kind: Kind::New,
            activate: None,
            before_undo: None,
            after_undo: None,
        });
    }
}
