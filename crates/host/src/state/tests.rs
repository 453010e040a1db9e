//! What holds of the state directory, on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stockade_domain::Exit;

use super::*;
use crate::driver::Record;

const PLENTY: Duration = Duration::from_secs(60);

fn dirs() -> (tempfile::TempDir, Arc<StateDirs>) {
    let place = tempfile::tempdir().unwrap();
    let dirs = StateDirs::open(&place.path().join("state/stockade")).unwrap();
    (place, Arc::new(dirs))
}

fn new(name: Option<&str>) -> NewSandbox {
    NewSandbox {
        driver: "fake".into(),
        name: name.map(str::to_owned),
        command: vec!["true".into()],
        ..NewSandbox::default()
    }
}

fn with_workspace(workspace: &Path) -> NewSandbox {
    NewSandbox {
        workspace: Some(workspace.to_owned()),
        copy_on_write: true,
        ..new(None)
    }
}

fn record(id: &str) -> Record {
    Record {
        version: 1,
        driver: "fake".into(),
        id: id.into(),
        body: serde_json::json!({"identity": 7}),
    }
}

/// Everything below a directory, sorted.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                pending.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_sandbox_that_ends_leaves_nothing_but_what_can_be_used_again() {
    let (place, dirs) = dirs();
    let workspace = place.path().join("project");
    fs::create_dir(&workspace).unwrap();
    let mut folder = dirs
        .create(NewSandbox {
            name: Some("a".into()),
            ..with_workspace(&workspace)
        })
        .unwrap();
    let before: Vec<PathBuf> = tree(dirs.path());
    assert!(before.iter().any(|path| path.ends_with("status.json")));
    folder.running(record(folder.id())).unwrap();
    fs::create_dir_all(folder.changes_dir().unwrap().join("upper")).unwrap();
    fs::create_dir_all(folder.changes_dir().unwrap().join("work/work")).unwrap();
    assert_eq!(folder.finish(Finish::default()).unwrap(), None);
    dirs.discard_spare().unwrap();
    dirs.empty_trash(PLENTY).unwrap();
    let mut after = tree(dirs.path());
    after.retain(|path| path.parent() != Some(dirs.path()));
    assert_eq!(after, Vec::<PathBuf>::new());
}

#[test]
fn a_run_takes_the_directories_of_the_one_before() {
    let (place, dirs) = dirs();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let first = dirs.create(with_workspace(place.path())).unwrap();
    let (id, changes) = (first.id().to_owned(), first.changes_dir().unwrap().to_owned());
    for name in ["upper", "work/work/incompat/volatile"] {
        fs::create_dir_all(changes.join(name)).unwrap();
    }
    fs::set_permissions(changes.join("work/work"), fs::Permissions::from_mode(0o0)).unwrap();
    let inodes = [first.path(), &changes, &changes.join("upper")].map(inode);
    first.finish(Finish::default()).unwrap();
    let second = dirs.create(with_workspace(place.path())).unwrap();
    let changes = second.changes_dir().unwrap();
    assert_eq!(
        [second.path(), changes, &changes.join("upper")].map(inode),
        inodes
    );
    assert_eq!(fs::read_dir(changes.join("work")).unwrap().count(), 0);
    assert_ne!(second.id(), id);
    let listed = dirs.list().unwrap();
    assert_eq!((listed.len(), &listed[0].status.id), (1, &second.id().to_owned()));
}

#[test]
fn nothing_of_a_sandbox_reaches_a_later_one() {
    let (place, dirs) = dirs();
    let poison: [fn(&Path, &Path); 4] = [
        |_, changes| fs::write(changes.join("work/left"), "x").unwrap(),
        |_, changes| fs::write(changes.join("left"), "x").unwrap(),
        |_, changes| {
            let name = "user.left";
            rustix::fs::setxattr(changes.join("upper"), name, b"x", rustix::fs::XattrFlags::empty()).unwrap();
        },
        |folder, _| fs::write(folder.join("left"), "x").unwrap(),
    ];
    for poison in poison {
        let first = dirs.create(with_workspace(place.path())).unwrap();
        let changes = first.changes_dir().unwrap().to_owned();
        fs::create_dir_all(changes.join("upper")).unwrap();
        fs::create_dir_all(changes.join("work/work")).unwrap();
        poison(first.path(), &changes);
        first.finish(Finish::default()).unwrap();
        let second = dirs.create(with_workspace(place.path())).unwrap();
        let found = [tree(second.path()), tree(second.changes_dir().unwrap())].concat();
        assert!(found.iter().all(|path| !path.ends_with("left")), "{found:?}");
        let upper = second.changes_dir().unwrap().join("upper");
        if upper.exists() {
            assert!(rustix::fs::getxattr(&upper, "user.left", &mut [0; 8]).is_err());
        }
    }
}

#[test]
fn a_status_is_whole_whenever_it_is_read() {
    let (_place, dirs) = dirs();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for listed in dirs.list().unwrap() {
                    assert!(listed.status.command.len() == 1 || listed.status.command.len() == 60);
                }
            }
        });
        for round in 0..400 {
            let words = if round % 2 == 0 { 1 } else { 60 };
            let command = vec!["word".repeat(20); words];
            let mut folder = dirs.create(NewSandbox { command, ..new(None) }).unwrap();
            folder.running(record(folder.id())).unwrap();
            assert_eq!(dirs.find(folder.id()).unwrap().status.phase, Phase::Running);
            folder.abandon().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn only_what_must_outlive_the_power_waits_for_the_disk() {
    let (place, dirs) = dirs();
    let before = fsyncs();
    let mut folder = dirs.create(with_workspace(place.path())).unwrap();
    folder.running(record(folder.id())).unwrap();
    folder.finish(Finish::default()).unwrap();
    assert_eq!(fsyncs(), before);

    let folder = dirs.create(new(None)).unwrap();
    record::save(folder.path(), &record(folder.id()), Durability::Power).unwrap();
    assert!(fsyncs() > before);
    assert_eq!(record::load(folder.path()).unwrap(), Some(record(folder.id())));
}

#[test]
fn a_name_is_given_once() {
    let (_place, dirs) = dirs();
    let first = dirs.create(new(Some("a"))).unwrap();
    assert!(matches!(
        dirs.create(new(Some("a"))),
        Err(Error::NameTaken { .. })
    ));
    assert_eq!(dirs.find("a").unwrap().status.id, first.id());
    first.abandon().unwrap();
    dirs.create(new(Some("a"))).unwrap();
}

#[test]
fn of_many_that_want_a_name_one_gets_it() {
    let (_place, dirs) = dirs();
    let start = std::sync::Barrier::new(8);
    let folders: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    dirs.create(new(Some("a")))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(folders.iter().filter(|folder| folder.is_ok()).count(), 1);
    assert_eq!(dirs.list().unwrap().len(), 1);
}

#[test]
fn the_name_of_a_dead_shim_can_be_taken() {
    let (_place, dirs) = dirs();
    forget(dirs.create(new(Some("a"))).unwrap());
    let second = dirs.create(new(Some("a"))).unwrap();
    assert_eq!(dirs.find("a").unwrap().status.id, second.id());
}

/// What SIGKILL does: descriptors close, nothing is removed.
fn forget(folder: SandboxFolder) {
    folder.leave_as_killed();
}

#[test]
fn a_sandbox_lives_as_long_as_its_shim() {
    let (_place, dirs) = dirs();
    let folder = dirs.create(new(None)).unwrap();
    let id = folder.id().to_owned();
    assert!(dirs.find(&id).unwrap().live);
    assert!(Claim::take(&dirs, &id).unwrap().is_none());
    forget(folder);
    assert!(!dirs.find(&id).unwrap().live);
    assert!(Claim::take(&dirs, &id).unwrap().is_some());
}

#[test]
fn a_sandbox_is_found_by_the_begin_of_its_id() {
    let (_place, dirs) = dirs();
    let folder = dirs.create(new(None)).unwrap();
    let id = folder.id();
    assert_eq!(dirs.find(&id[..11]).unwrap().status.id, id);
    assert!(matches!(dirs.find(&id[..3]), Err(Error::NotFound { .. })));
    assert!(matches!(dirs.find("../x"), Err(Error::NotFound { .. })));
    assert!(matches!(dirs.find("nobody"), Err(Error::NotFound { .. })));
}

#[test]
fn changes_are_kept_with_what_is_known_of_them() {
    let (place, dirs) = dirs();
    let workspace = place.path().join("project");
    fs::create_dir(&workspace).unwrap();
    let mut folder = dirs.create(with_workspace(&workspace)).unwrap();
    folder.running(record(folder.id())).unwrap();
    let changes = folder.changes_dir().unwrap().to_owned();
    fs::create_dir_all(changes.join("upper")).unwrap();
    fs::create_dir_all(changes.join("work/work")).unwrap();
    fs::write(changes.join("upper/new"), "new").unwrap();
    let id = folder.id().to_owned();
    let kept = folder
        .finish(Finish {
            exit: Some(Exit::Code(3)),
            ..Finish::default()
        })
        .unwrap()
        .unwrap();
    assert_eq!(kept.counts.unwrap().files(), 1);
    assert!(!changes.join("work").exists());
    let sets = dirs.change_sets().unwrap();
    assert_eq!(
        (sets.len(), sets[0].live, sets[0].name.as_str()),
        (1, false, PENDING)
    );
    let meta = sets[0].meta.as_ref().unwrap();
    let run = meta.runs.first().unwrap();
    assert_eq!(
        (&run.id, &meta.workspace, run.exit),
        (&id, &workspace, Some(Exit::Code(3)))
    );
    assert_eq!(run.identity, Some(serde_json::json!(7)));
    dirs.remove(&id).unwrap();
    assert!(dirs.change_sets().unwrap().is_empty());
    assert!(matches!(dirs.remove(&id), Err(Error::NotFound { .. })));
}

#[test]
fn unwanted_changes_are_thrown_away() {
    let (place, dirs) = dirs();
    let new = NewSandbox {
        discard_changes: true,
        ..with_workspace(place.path())
    };
    let folder = dirs.create(new).unwrap();
    fs::create_dir_all(folder.changes_dir().unwrap().join("upper/directory")).unwrap();
    assert_eq!(folder.finish(Finish::default()).unwrap(), None);
    assert!(dirs.change_sets().unwrap().is_empty());
}

#[test]
fn a_kept_record_tells_the_end_and_is_removed_on_demand() {
    let (_place, dirs) = dirs();
    let folder = dirs
        .create(NewSandbox {
            keep: true,
            ..new(Some("a"))
        })
        .unwrap();
    assert!(matches!(dirs.remove("a"), Err(Error::Busy { .. })));
    folder
        .finish(Finish {
            exit: Some(Exit::TimedOut),
            ..Finish::default()
        })
        .unwrap();
    let listed = dirs.find("a").unwrap();
    assert_eq!(
        (listed.live, listed.status.phase, listed.status.exit),
        (false, Phase::Ended, Some(Exit::TimedOut))
    );
    assert!(matches!(
        dirs.create(new(Some("a"))),
        Err(Error::NameTaken { .. })
    ));
    dirs.remove("a").unwrap();
    assert!(dirs.list().unwrap().is_empty());
}

#[test]
fn records_of_other_versions_are_told_and_hide_no_others() {
    let (_place, dirs) = dirs();
    let [future, past, present] = [(), (), ()].map(|()| dirs.create(new(None)).unwrap());
    fs::write(future.path().join("status.json"), r#"{"version": 2, "id": "x"}"#).unwrap();
    fs::write(past.path().join("status.json"), r#"{"version": 0, "id": "x"}"#).unwrap();
    let (listed, unreadable) = dirs.list_all().unwrap();
    let ids: Vec<&str> = listed.iter().map(|one| one.status.id.as_str()).collect();
    assert_eq!(ids, [present.id()]);
    let told: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
    let tells = |text: &str| told.iter().any(|one| one.contains(text));
    assert!(
        tells("newer Stockade") && tells("older Stockade") && tells("stockade gc"),
        "{told:?}"
    );
}

#[test]
fn no_record_is_kept_of_what_did_not_start() {
    let (_place, dirs) = dirs();
    let folder = dirs
        .create(NewSandbox {
            keep: true,
            ..new(Some("a"))
        })
        .unwrap();
    let finish = Finish {
        nothing_ran: true,
        ..Finish::default()
    };
    folder.finish(finish).unwrap();
    assert!(dirs.list().unwrap().is_empty());
    drop(dirs.create(new(Some("a"))).unwrap());
}

#[test]
fn a_state_directory_that_others_can_write_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(StateDirs::open(&path).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let error = StateDirs::open(&path).unwrap_err().to_string();
    assert!(error.contains("chmod 700"), "{error}");
}

#[test]
fn trash_of_any_depth_and_permission_is_emptied() {
    let (_place, dirs) = dirs();
    let folder = dirs.create(new(None)).unwrap();
    let mut deep = folder.path().to_owned();
    for _ in 0..1500 {
        deep = deep.join("d");
    }
    make_deep(folder.path(), 1500);
    for index in 0..600 {
        fs::write(folder.path().join(format!("file{index}")), "x").unwrap();
    }
    let bare = folder.path().join("bare");
    fs::create_dir_all(bare.join("inner")).unwrap();
    fs::write(bare.join("inner/file"), "x").unwrap();
    fs::set_permissions(bare.join("inner"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o0)).unwrap();
    folder.abandon().unwrap();
    let emptied = dirs.empty_trash(PLENTY).unwrap();
    assert!(
        emptied.removed > 2100 && !emptied.more && emptied.failed == 0,
        "{emptied:?}"
    );
    assert!(dirs.part("trash").unwrap().names().unwrap().is_empty());
}

/// Deeper than a path can be long.
fn make_deep(at: &Path, depth: usize) {
    let mut dir = Dir::open(at).unwrap();
    for _ in 0..depth {
        dir.make_directory("d").unwrap();
        dir = dir.open_below("d").unwrap();
    }
}

#[test]
fn emptying_the_trash_stops_in_time_and_goes_on_later() {
    let (_place, dirs) = dirs();
    let folder = dirs.create(new(None)).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    folder.abandon().unwrap();
    assert!(dirs.empty_trash(Duration::ZERO).unwrap().more);
    assert!(!dirs.empty_trash(PLENTY).unwrap().more);
}

#[test]
fn trash_does_not_reach_through_links() {
    let (place, dirs) = dirs();
    let canary = place.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "alive").unwrap();
    let folder = dirs.create(new(None)).unwrap();
    std::os::unix::fs::symlink(&canary, folder.path().join("link")).unwrap();
    folder.abandon().unwrap();
    dirs.empty_trash(PLENTY).unwrap();
    assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "alive");
}

#[test]
fn several_removers_leave_nothing_and_count_each_name_once() {
    let (_place, dirs) = dirs();
    let folder = dirs.create(new(None)).unwrap();
    let mut made = 0;
    for number in 0..300 {
        let deep = folder.path().join(format!("{}/{number}/deep", number % 7));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        made += 3;
    }
    folder.abandon().unwrap();
    let emptied = dirs.empty_trash_fast(PLENTY).unwrap();
    assert!(
        emptied.removed >= made && emptied.removed < made + 20,
        "{emptied:?}"
    );
    assert!(!emptied.more && emptied.failed == 0, "{emptied:?}");
    assert!(dirs.part("trash").unwrap().names().unwrap().is_empty());
}

/// Printed, never judged: how much the state of a run costs. `cargo test -- --ignored cost`
#[test]
#[ignore = "a measurement"]
fn cost_of_a_run() {
    let place = tempfile::tempdir_in(std::env::var_os("HOME").unwrap()).unwrap();
    let mut times = Vec::new();
    for _ in 0..300 {
        let start = std::time::Instant::now();
        let dirs = Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
        let mut folder = dirs.create(with_workspace(place.path())).unwrap();
        let created = start.elapsed();
        folder.running(record(folder.id())).unwrap();
        let running = start.elapsed();
        fs::create_dir_all(folder.changes_dir().unwrap().join("upper")).unwrap();
        fs::create_dir_all(folder.changes_dir().unwrap().join("work/work")).unwrap();
        let made = start.elapsed();
        folder.finish(Finish::default()).unwrap();
        times.push((
            start.elapsed() - (made - running),
            created,
            running - created,
            start.elapsed() - made,
        ));
        dirs.empty_trash(PLENTY).unwrap();
    }
    times.sort();
    println!(
        "median: all {:?}, create {:?}, running {:?}, finish {:?}",
        times[150].0, times[150].1, times[150].2, times[150].3
    );
    println!("p90: all {:?}", times[270].0);
}
