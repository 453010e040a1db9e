//! What is removed after supervisors that were killed, and what is not.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stockade_host::gc::{Options, Report, collect};
use stockade_host::state::{Finish, NewSandbox, SandboxFolder, StateDirs};

use crate::fake::leftover;
use crate::rig::{Rig, block_on};

crate::tests![
    leftovers_of_the_dead_are_reaped_and_of_the_living_not,
    forgotten_things_are_removed_by_their_owner_or_on_demand,
    changes_of_the_dead_are_kept_and_described,
    a_copy_that_somebody_removed_is_told_once_and_holds_up_nothing,
    a_dry_run_removes_nothing,
    what_two_drivers_tell_of_is_told_once,
    a_driver_that_cannot_be_asked_keeps_its_sandboxes,
    creations_beside_it_come_to_no_harm,
    many_that_ended_stay_with_their_names_and_a_damaged_one_is_told,
];

async fn gc(rig: &Rig, options: Options) -> Report {
    collect(&rig.dirs, &[rig.driver()], options).await.unwrap()
}

/// Argument that makes this program begin a sandbox and end without a word.
pub const DIE: &str = "die-as-shim";

/// Begins a sandbox, changes its workspace, tells its id, and is gone.
pub fn die() -> ! {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let dirs = Arc::new(StateDirs::open(&PathBuf::from(&arguments[0])).unwrap());
    let workspace = PathBuf::from(&arguments[1]);
    let copy_on_write = arguments[2] == "true";
    let new = NewSandbox {
        workspace: Some(workspace),
        copy_on_write,
        ..Rig::new_sandbox()
    };
    let folder = dirs.create(new).unwrap();
    if let Some(changes) = folder.changes_dir() {
        fs::create_dir_all(changes.join("work/work")).unwrap();
        fs::create_dir_all(changes.join("upper")).unwrap();
        fs::write(changes.join("upper/file"), "changed").unwrap();
    }
    print!("{}", folder.id());
    // Without destructors, as by SIGKILL.
    std::process::exit(0)
}

/// A sandbox whose supervisor was killed.
fn dead(rig: &Rig, changes: bool) -> String {
    let workspace = rig.place.path().join("project");
    fs::create_dir_all(&workspace).unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .arg(DIE)
        .args([rig.dirs.path(), &workspace])
        .arg(changes.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn create(rig: &Rig, changes: bool) -> SandboxFolder {
    let workspace = rig.place.path().join("project");
    fs::create_dir_all(&workspace).unwrap();
    let new = NewSandbox {
        workspace: Some(workspace),
        copy_on_write: changes,
        ..Rig::new_sandbox()
    };
    rig.dirs.create(new).unwrap()
}

fn leftovers_of_the_dead_are_reaped_and_of_the_living_not() {
    block_on(async {
        let rig = Rig::new();
        let live = create(&rig, false);
        let dead = dead(&rig, false);
        // The last one belongs to another state directory.
        *rig.knobs.leftovers.lock().unwrap() =
            vec![leftover(live.id()), leftover(&dead), leftover("000000000000")];
        let report = gc(&rig, Options::default()).await;
        assert_eq!(report.dead, std::slice::from_ref(&dead));
        assert_eq!(*rig.knobs.reaped.lock().unwrap(), [leftover(&dead)]);
        assert_eq!(rig.remains(), [format!("sandboxes/{}", live.id())]);
        rig.knobs.leftovers.lock().unwrap().clear();
        assert!(gc(&rig, Options::default()).await.is_clean());
    });
}

fn forgotten_things_are_removed_by_their_owner_or_on_demand() {
    block_on(async {
        let rig = Rig::new();
        let mut own = leftover("000000000000");
        own.place.push_str(&rig.dirs.owner_mark());
        let others = leftover("000000000001");
        *rig.knobs.leftovers.lock().unwrap() = vec![own.clone(), others.clone()];
        let dry_run = Options {
            dry_run: true,
            ..Options::default()
        };
        assert_eq!(gc(&rig, dry_run).await.reaped, std::slice::from_ref(&own));
        assert!(rig.knobs.reaped.lock().unwrap().is_empty());
        gc(&rig, Options::default()).await;
        assert_eq!(*rig.knobs.reaped.lock().unwrap(), std::slice::from_ref(&own));
        let everywhere = Options {
            everywhere: true,
            ..Options::default()
        };
        assert_eq!(gc(&rig, everywhere).await.reaped, [own, others]);
    });
}

fn changes_of_the_dead_are_kept_and_described() {
    block_on(async {
        let rig = Rig::new();
        let id = dead(&rig, true);
        let report = gc(&rig, Options::default()).await;
        assert_eq!(report.kept_changes.len(), 1);
        let sets = rig.dirs.change_sets().unwrap();
        let meta = sets[0].meta.as_ref().unwrap();
        assert_eq!(
            (&meta.runs[0].id, &meta.workspace),
            (&id, &rig.place.path().join("project"))
        );
        assert_eq!(fs::read_to_string(sets[0].upper.join("file")).unwrap(), "changed");
        assert!(gc(&rig, Options::default()).await.is_clean());
        assert_eq!(rig.dirs.change_sets().unwrap().len(), 1);
    });
}

/// A copy can lie in the folder of its sandbox, which somebody deletes with all others.
fn a_copy_that_somebody_removed_is_told_once_and_holds_up_nothing() {
    block_on(async {
        let rig = Rig::new();
        dead(&rig, true);
        let set = rig.dirs.change_sets().unwrap().remove(0);
        let changes = set.upper.parent().unwrap();
        fs::write(changes.join("copy.list"), "").unwrap();
        std::os::unix::fs::symlink(rig.place.path().join("gone"), changes.join("copy")).unwrap();
        fs::remove_dir_all(rig.dirs.path().join("sandboxes")).unwrap();
        let report = gc(&rig, Options::default()).await;
        assert_eq!(report.lost_changes, [set.key], "{report:?}");
        assert!(report.problems.is_empty(), "{report:?}");
        // What an earlier sandbox changed stays.
        assert_eq!(fs::read_to_string(set.upper.join("file")).unwrap(), "changed");
        assert!(gc(&rig, Options::default()).await.is_clean());
    });
}

fn a_dry_run_removes_nothing() {
    block_on(async {
        let rig = Rig::new();
        let id = dead(&rig, false);
        *rig.knobs.leftovers.lock().unwrap() = vec![leftover(&id)];
        let report = gc(
            &rig,
            Options {
                dry_run: true,
                ..Options::default()
            },
        )
        .await;
        assert_eq!((report.dead.len(), report.reaped.len()), (1, 1));
        assert!(rig.knobs.reaped.lock().unwrap().is_empty());
        assert_eq!(rig.remains().len(), 1);
    });
}

fn what_two_drivers_tell_of_is_told_once() {
    block_on(async {
        let rig = Rig::new();
        *rig.knobs.leftovers.lock().unwrap() = vec![leftover("000000000001")];
        for dry_run in [true, false] {
            let options = Options {
                dry_run,
                everywhere: true,
                ..Options::default()
            };
            let report = collect(&rig.dirs, &[rig.driver(), rig.driver()], options).await;
            assert_eq!(report.unwrap().reaped, [leftover("000000000001")]);
        }
        assert_eq!(rig.knobs.reaped.lock().unwrap().len(), 1);
    });
}

fn a_driver_that_cannot_be_asked_keeps_its_sandboxes() {
    block_on(async {
        let rig = Rig::new();
        dead(&rig, false);
        let report = collect(&rig.dirs, &[], Options::default()).await.unwrap();
        assert!(report.dead.is_empty() && report.problems[0].contains("driver fake cannot be asked"));
        assert_eq!(rig.remains().len(), 1);
    });
}

fn creations_beside_it_come_to_no_harm() {
    block_on(async {
        let rig = Rig::new();
        let dirs = Arc::clone(&rig.dirs);
        let creator = std::thread::spawn(move || {
            for round in 0..300 {
                let new = NewSandbox {
                    name: Some(format!("n{}", round % 3)),
                    ..Rig::new_sandbox()
                };
                let folder = dirs.create(new).unwrap();
                assert!(folder.path().join("status.json").exists());
                assert!(dirs.find(folder.id()).unwrap().live);
                folder.abandon().unwrap();
            }
        });
        while !creator.is_finished() {
            let report = gc(
                &rig,
                Options {
                    time: Duration::from_secs(5),
                    ..Options::default()
                },
            )
            .await;
            // A directory that was made and not yet locked may be taken: its maker takes another.
            assert!(report.reaped.is_empty(), "{report:?}");
        }
        creator.join().unwrap();
        gc(&rig, Options::default()).await;
        assert!(rig.remains().is_empty());
    });
}

fn many_that_ended_stay_with_their_names_and_a_damaged_one_is_told() {
    const COUNT: usize = 500;
    block_on(async {
        let rig = Rig::new();
        let mut last = String::new();
        for number in 0..COUNT {
            let new = NewSandbox {
                name: Some(format!("n{number}")),
                keep: true,
                ..Rig::new_sandbox()
            };
            let folder = rig.dirs.create(new).unwrap();
            last = folder.id().to_owned();
            folder.finish(Finish::default()).unwrap();
        }
        assert!(gc(&rig, Options::default()).await.is_clean());
        assert_eq!(rig.dirs.list().unwrap().len(), COUNT);
        assert_eq!(rig.dirs.find(&format!("n{}", COUNT - 1)).unwrap().status.id, last);

        // A record of a later version: told each time, and it hides none of the others.
        let newer = "{\"version\":99}";
        fs::write(
            rig.dirs.path().join("sandboxes").join(&last).join("status.json"),
            newer,
        )
        .unwrap();
        let (listed, unreadable) = rig.dirs.list_all().unwrap();
        assert_eq!((listed.len(), unreadable.len()), (COUNT - 1, 1));
        assert!(unreadable[0].to_string().contains("by a newer Stockade"));

        // What is removed is gone from the next list, with its name.
        rig.dirs.remove("n0").unwrap();
        assert_eq!(rig.dirs.list().unwrap().len(), COUNT - 2);
        assert!(rig.dirs.find("n0").is_err());
    });
}
