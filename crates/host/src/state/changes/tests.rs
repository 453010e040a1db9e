//! Which change set a sandbox gets.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::state::{Finish, NewSandbox, SandboxFolder};

struct Place {
    _place: tempfile::TempDir,
    dirs: Arc<StateDirs>,
    workspace: PathBuf,
}

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let workspace = place.path().join("project");
        fs::create_dir(&workspace).unwrap();
        Self {
            dirs: Arc::new(StateDirs::open(&place.path().join("state/stockade")).unwrap()),
            workspace,
            _place: place,
        }
    }

    fn begin(&self, wish: ChangesWish) -> Result<SandboxFolder> {
        self.dirs.create(NewSandbox {
            driver: "fake".into(),
            workspace: Some(self.workspace.clone()),
            copy_on_write: true,
            changes: wish,
            ..NewSandbox::default()
        })
    }

    fn run(&self, wish: ChangesWish, file: &str) -> Option<KeptChanges> {
        let folder = self.begin(wish).unwrap();
        write(&folder, file);
        folder.finish(Finish::default()).unwrap()
    }
}

fn write(folder: &SandboxFolder, file: &str) {
    let changes = folder.changes_dir().unwrap();
    fs::create_dir_all(changes.join("work/work")).unwrap();
    fs::create_dir_all(changes.join("upper")).unwrap();
    fs::write(changes.join("upper").join(file), file).unwrap();
}

fn named(name: &str) -> ChangesWish {
    ChangesWish {
        name: Some(name.to_owned()),
        fresh: false,
    }
}

const FRESH: ChangesWish = ChangesWish {
    name: None,
    fresh: true,
};

fn holds(folder: &SandboxFolder, file: &str) -> bool {
    folder.changes_dir().unwrap().join("upper").join(file).exists()
}

#[test]
fn a_run_goes_on_with_what_the_one_before_left() {
    let place = Place::new();
    place.run(ChangesWish::default(), "first");
    let second = place.begin(ChangesWish::default()).unwrap();
    assert!(holds(&second, "first"));
    assert!(!second.changes_dir().unwrap().join("work").exists());
    match second.found_changes() {
        Some(Found::Unapplied { set, counts }) => {
            assert_eq!((set.as_str(), counts.unwrap().files()), (PENDING, 1));
        }
        other => panic!("{other:?}"),
    }
    write(&second, "second");
    let kept = second.finish(Finish::default()).unwrap().unwrap();
    assert_eq!(kept.counts.unwrap().files(), 2);
    let sets = place.dirs.change_sets().unwrap();
    assert_eq!((sets.len(), sets[0].meta.as_ref().unwrap().runs.len()), (1, 2));
}

#[test]
fn a_fresh_run_sets_aside_what_was_there_and_loses_nothing() {
    let place = Place::new();
    place.run(ChangesWish::default(), "first");
    let fresh = place.begin(FRESH).unwrap();
    assert!(!holds(&fresh, "first"));
    let Some(Found::SetAside { kept_as }) = fresh.found_changes().cloned() else {
        panic!("{:?}", fresh.found_changes());
    };
    write(&fresh, "other");
    fresh.finish(Finish::default()).unwrap();
    let back = place.begin(named(&kept_as)).unwrap();
    assert!(holds(&back, "first") && !holds(&back, "other"));
}

#[test]
fn two_at_once_never_share_a_set() {
    let place = Place::new();
    let first = place.begin(ChangesWish::default()).unwrap();
    let second = place.begin(ChangesWish::default()).unwrap();
    assert_ne!(first.changes_dir(), second.changes_dir());
    let told = second.found_changes().cloned();
    assert_eq!(
        told,
        Some(Found::InUse {
            by: Some(first.id().to_owned()),
            own: second.id().to_owned()
        })
    );
    let refused = place.begin(named(PENDING)).unwrap_err().to_string();
    assert!(
        refused.contains(first.id()) && refused.contains("--changes"),
        "{refused}"
    );
    // The positive control: it is free when its user has ended.
    drop(first);
    place.begin(named(PENDING)).unwrap();
}

#[test]
fn sets_of_other_names_are_apart() {
    let place = Place::new();
    place.run(named("a"), "first");
    place.run(ChangesWish::default(), "second");
    assert!(!holds(&place.begin(ChangesWish::default()).unwrap(), "first"));
    assert!(holds(&place.begin(named("a")).unwrap(), "first"));
    assert!(place.begin(named("../a")).is_err());
}

#[test]
fn a_throwaway_run_neither_sees_nor_removes_what_others_left() {
    let place = Place::new();
    place.run(ChangesWish::default(), "first");
    let folder = place
        .dirs
        .create(NewSandbox {
            discard_changes: true,
            workspace: Some(place.workspace.clone()),
            copy_on_write: true,
            ..NewSandbox::default()
        })
        .unwrap();
    assert!(!holds(&folder, "first"));
    write(&folder, "thrown");
    assert_eq!(folder.finish(Finish::default()).unwrap(), None);
    let sets = place.dirs.change_sets().unwrap();
    assert_eq!(sets.len(), 1);
    assert!(sets[0].upper.join("first").exists());
}

#[test]
fn a_set_is_found_again_when_its_supervisor_was_killed() {
    let place = Place::new();
    let folder = place.begin(ChangesWish::default()).unwrap();
    write(&folder, "left");
    let id = folder.id().to_owned();
    folder.leave_as_killed();
    let sets = place.dirs.change_sets().unwrap();
    assert_eq!(sets[0].user.as_ref().unwrap().id, id);
    assert_eq!(sets[0].workspace(), Some(place.workspace.as_path()));
    let next = place.begin(ChangesWish::default()).unwrap();
    assert!(holds(&next, "left"));
    assert!(matches!(
        next.found_changes(),
        Some(Found::Unapplied { counts: Some(_), .. })
    ));
}

#[test]
fn removing_a_sandbox_leaves_what_others_wrote_to_as_well() {
    let place = Place::new();
    place.run(ChangesWish::default(), "first");
    place.run(ChangesWish::default(), "second");
    let sets = place.dirs.change_sets().unwrap();
    let ids: Vec<String> = sets[0]
        .meta
        .iter()
        .flat_map(|meta| &meta.runs)
        .map(|run| run.id.clone())
        .collect();
    assert!(place.dirs.remove(&ids[0]).is_err());
    assert_eq!(place.dirs.change_sets().unwrap().len(), 1);
}

#[test]
fn change_sets_of_two_projects_have_nothing_in_common() {
    let (one, other) = (Path::new("/a/project"), Path::new("/b/project"));
    assert_ne!(key(one, PENDING), key(other, PENDING));
    assert_eq!(name_in(&key(one, "with-dash")), Some("with-dash"));
    assert_eq!(name_in("lost+found"), None);
}
