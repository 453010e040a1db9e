use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::*;

/// A system in a directory: Ubuntu 24.04, seen by user 1000.
struct System(tempfile::TempDir);

const PROFILE: &str = "/etc/apparmor.d/stockade";
const MANAGER: &str = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers";
const DELEGATION: &str = "/etc/systemd/system/user@.service.d/60-stockade.conf";
const CLONE: &str = "/proc/sys/kernel/unprivileged_userns_clone";
const RESTRICTED: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

impl System {
    fn new() -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.write("/usr/bin/stockade", "program");
        system.write(RESTRICTED, "1\n");
        system.write(MANAGER, "memory pids\n");
        fs::create_dir_all(system.at("/etc/apparmor.d")).unwrap();
        system
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        below(self.root(), Path::new(path))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    fn survey(&self, sysctl: bool) -> Survey {
        let wanted = Wanted {
            program: "/usr/bin/stockade".into(),
            user: Some(1000),
            sysctl,
        };
        survey(self.root(), &wanted)
    }

    async fn apply(&self, sysctl: bool) -> Vec<Outcome> {
        let done = apply(self.root(), &self.survey(sysctl).changes).await.unwrap();
        done.into_iter().map(|one| one.outcome).collect()
    }

    async fn undo(&self) -> Vec<Outcome> {
        let done = undo(self.root()).await.unwrap();
        done.into_iter().map(|one| one.outcome).collect()
    }

    /// Every file with its content, and every directory.
    fn snapshot(&self) -> Vec<(PathBuf, Option<String>)> {
        fn walk(directory: &Path, into: &mut Vec<(PathBuf, Option<String>)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    into.push((path.clone(), None));
                    walk(&path, into);
                } else {
                    into.push((path.clone(), Some(fs::read_to_string(&path).unwrap())));
                }
            }
        }
        let mut all = Vec::new();
        walk(self.root(), &mut all);
        all.sort();
        all
    }
}

#[tokio::test]
async fn what_is_missing_is_written_and_taken_back_exactly() {
    let system = System::new();
    fs::create_dir_all(system.at("/var/lib")).unwrap();
    let before = system.snapshot();
    assert_eq!(system.apply(false).await, [Outcome::Written, Outcome::Written]);
    assert!(
        system
            .read(PROFILE)
            .unwrap()
            .contains("profile stockade \"/usr/bin/stockade\"")
    );
    assert!(system.read(DELEGATION).unwrap().contains("Delegate=cpu"));
    assert_eq!(system.undo().await, [Outcome::Restored, Outcome::Restored]);
    assert_eq!(system.snapshot(), before);
}

#[tokio::test]
async fn twice_is_once() {
    let system = System::new();
    system.apply(false).await;
    let once = system.snapshot();
    assert_eq!(system.apply(false).await, [Outcome::Already, Outcome::Already]);
    assert_eq!(system.snapshot(), once);
    system.undo().await;
    assert!(system.undo().await.is_empty());
}

#[tokio::test]
async fn a_file_of_somebody_else_is_never_overwritten() {
    let system = System::new();
    system.write(PROFILE, "mine");
    assert_eq!(system.apply(false).await, [Outcome::Foreign, Outcome::Written]);
    assert_eq!(system.undo().await, [Outcome::Restored]);
    assert_eq!(system.read(PROFILE).as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_file_that_was_changed_since_is_left_and_can_be_taken_back_later() {
    let system = System::new();
    system.apply(false).await;
    let ours = system.read(PROFILE).unwrap();
    system.write(PROFILE, "changed");
    assert_eq!(system.apply(false).await.first(), Some(&Outcome::Foreign));
    assert_eq!(system.undo().await, [Outcome::Restored, Outcome::Foreign]);
    assert_eq!(system.read(PROFILE).as_deref(), Some("changed"));
    system.write(PROFILE, &ours);
    assert_eq!(system.undo().await, [Outcome::Restored]);
    assert!(system.read(PROFILE).is_none() && system.read(JOURNAL).is_none());
}

#[tokio::test]
async fn values_of_the_kernel_are_set_only_when_asked_and_get_their_former_value() {
    let system = System::new();
    system.write(CLONE, "0\n");
    let notes = system.survey(false).notes.join("\n");
    assert!(
        notes.contains("kernel.unprivileged_userns_clone") && notes.contains("--sysctl"),
        "{notes}"
    );
    assert_eq!(
        system.survey(false).changes.len() + 2,
        system.survey(true).changes.len()
    );
    system.apply(true).await;
    assert_eq!(system.read(CLONE).as_deref(), Some("1"));
    system.undo().await;
    assert_eq!(system.read(CLONE).as_deref(), Some("0\n"));
}

/// A crash leaves the journal of one moment with the files of a later or an earlier one.
#[tokio::test]
async fn a_crash_between_any_two_steps_is_recovered_by_applying_or_by_undoing() {
    for undone in [false, true] {
        for written in [false, true] {
            let system = System::new();
            fs::create_dir_all(system.at("/var/lib")).unwrap();
            let before = system.snapshot();
            system.apply(false).await;
            let done = system.snapshot();
            // The intent was kept, and its success not; the file was written or not.
            let journal = system
                .read(JOURNAL)
                .unwrap()
                .replace("\"active\": true", "\"active\": false");
            system.write(JOURNAL, &journal);
            if !written {
                fs::remove_file(system.at(PROFILE)).unwrap();
            }
            if undone {
                system.undo().await;
                assert_eq!(system.snapshot(), before, "written: {written}");
            } else {
                assert_eq!(system.apply(false).await, [Outcome::Written, Outcome::Written]);
                assert_eq!(system.snapshot(), done, "written: {written}");
            }
        }
    }
}

#[tokio::test]
async fn a_crash_while_a_newer_profile_replaces_ours_leaves_it_ours() {
    let system = System::new();
    system.apply(false).await;
    let mut newer = system.survey(false).changes;
    newer[0].content.push_str("# newer\n");
    let old = system.read(PROFILE).unwrap();
    assert_eq!(
        apply(system.root(), &newer).await.unwrap()[0].outcome,
        Outcome::Written
    );
    system.write(PROFILE, &old);
    assert_eq!(system.undo().await, [Outcome::Restored, Outcome::Restored]);
    assert!(system.read(PROFILE).is_none());
}

#[tokio::test]
async fn a_link_in_place_of_a_file_is_not_followed() {
    let system = System::new();
    system.write("/victim", "precious");
    std::os::unix::fs::symlink(system.at("/victim"), system.at(PROFILE)).unwrap();
    assert!(apply(system.root(), &system.survey(false).changes).await.is_err());
    assert_eq!(system.read("/victim").as_deref(), Some("precious"));
}

#[test]
fn a_program_that_others_can_write_gets_no_profile() {
    use std::os::unix::fs::PermissionsExt;
    let system = System::new();
    assert_eq!(system.survey(false).changes.len(), 2, "the positive control");
    fs::set_permissions(system.at("/usr/bin"), fs::Permissions::from_mode(0o777)).unwrap();
    let found = system.survey(false);
    assert_eq!(found.changes.len(), 1);
    assert!(
        found.notes[0].contains("/usr/bin can be written"),
        "{:?}",
        found.notes
    );
    assert_ne!(fs::metadata(system.root()).unwrap().mode(), 0);
}

#[test]
fn a_healthy_host_needs_nothing() {
    let system = System::new();
    system.write(RESTRICTED, "0\n");
    system.write(MANAGER, "cpuset cpu io memory pids\n");
    assert_eq!(system.survey(true), Survey::default());
}

#[tokio::test]
async fn a_journal_of_another_version_is_refused() {
    let system = System::new();
    system.write(JOURNAL, "{\"version\": 99, \"entries\": []}");
    let error = undo(system.root()).await.unwrap_err().to_string();
    assert!(error.contains("setup.json"), "{error}");
}
