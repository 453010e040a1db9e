//! A repository that is taken over: killed at any effect, raced, and undone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stockade_workspace::Decision;

use super::kill::run_child;
use super::world::World;

/// Git on a directory, with a clock that stands still: the same work makes the same commits.
fn git(at: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(words).current_dir(at).env_clear();
    command
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent");
    command.env("GIT_CEILING_DIRECTORIES", at.parent().expect("a parent"));
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Test");
        command.env(format!("GIT_{who}_EMAIL"), "test@example.invalid");
        command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
    }
    let output = command.output().expect("git runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {words:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A host with two branches, one packed, and inside: one that moved, one that is new, one that
/// is gone, another one checked out, and something staged.
pub fn prepare(world: World) -> World {
    let project = world.project();
    git(&project, &["init", "-q", "-b", "main"]);
    world.host("a", "1\n");
    world.host("b", "1\n");
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "first"]);
    git(&project, &["branch", "gone"]);
    git(&project, &["pack-refs", "--all"]);
    let inside = world.root().join("inside");
    let copied = Command::new("cp").arg("-a").args([&project, &inside]).status();
    assert!(copied.expect("cp").success());
    let work = |words: &[&str]| drop(git(&inside, words));
    fs::write(inside.join("a"), "2\n").expect("a");
    work(&["commit", "-qam", "second"]);
    work(&["checkout", "-q", "-b", "topic/new"]);
    fs::write(inside.join("c"), "new\n").expect("c");
    work(&["add", "c"]);
    work(&["commit", "-qm", "third"]);
    work(&["branch", "-q", "-D", "gone"]);
    fs::write(inside.join("b"), "staged\n").expect("b");
    work(&["add", "b"]);
    upper(&world, &inside);
    fs::remove_dir_all(&inside).expect("removed");
    world
}

/// What an overlay would have kept of the difference.
fn upper(world: &World, inside: &Path) {
    let (project, upper) = (world.project(), world.upper());
    for path in all(inside) {
        let same = fs::read(project.join(&path)).ok() == fs::read(inside.join(&path)).ok();
        if !same {
            fs::create_dir_all(upper.join(&path).parent().expect("a parent")).expect("parents");
            fs::copy(inside.join(&path), upper.join(&path)).expect("a copy");
        }
    }
    for path in all(&project) {
        if !inside.join(&path).exists() {
            world.gone(path.to_str().expect("UTF-8"));
        }
    }
}

/// All files below a directory.
fn all(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(root.join(&path)).expect("a listing") {
            let path = path.join(entry.expect("an entry").file_name());
            if root.join(&path).is_dir() {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// What a person sees of a repository, with nothing of git's left behind.
fn seen(world: &World) -> Vec<String> {
    let project = world.project();
    let locks: Vec<_> = all(&project.join(".git"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "lock"))
        .collect();
    assert!(locks.is_empty(), "{locks:?}");
    let files = all(&project).into_iter().filter(|path| !path.starts_with(".git"));
    let mut files: Vec<String> = files
        .map(|path| {
            format!(
                "{}: {}",
                path.display(),
                fs::read_to_string(project.join(&path)).expect("a file")
            )
        })
        .collect();
    files.sort();
    [
        git(&project, &["for-each-ref"]),
        git(&project, &["symbolic-ref", "HEAD"]),
        git(&project, &["ls-files", "--stage"]),
        git(&project, &["status", "--porcelain"]),
    ]
    .into_iter()
    .chain(files)
    .collect()
}

fn everything(_: &str) -> Decision {
    Decision::Apply
}

#[test]
fn a_repository_is_before_or_after_wherever_an_apply_or_its_undo_is_killed() {
    let world = prepare(World::new());
    let before = seen(&world);
    world.apply(everything).expect("applied");
    let after = seen(&world);
    assert_eq!(git(&world.project(), &["status", "--porcelain"]), "M  b");
    assert!(
        after[0].contains("topic/new") && !after[0].contains("gone"),
        "{after:?}"
    );
    world.undo().expect("undone");
    assert_eq!(seen(&world), before);
    for what in ["apply", "undo"] {
        let mut at = 0;
        loop {
            let world = prepare(World::new());
            if what == "undo" {
                world.apply(everything).expect("applied");
            }
            let killed = run_child(what, at, &world);
            drop(world.history().expect("recovered"));
            let now = seen(&world);
            assert!(
                now == before || now == after,
                "torn after {what} was killed at {at}: {now:#?}"
            );
            // Objects may have come without what leads to them; never without what they need.
            git(&world.project(), &["fsck", "--strict", "--no-dangling"]);
            if now == before {
                world.apply(everything).expect("applied");
            }
            assert_eq!(seen(&world), after, "{what} killed at {at}");
            if !killed {
                break;
            }
            at += 1;
        }
        assert!(at > 20, "only {at} effects were seen");
    }
}

#[test]
fn what_the_host_does_to_a_repository_while_it_is_taken_over_is_kept() {
    let mut at = 0;
    let lost = std::cell::Cell::new(0);
    loop {
        let world = prepare(World::new());
        let left = std::cell::Cell::new(at);
        let acted = std::cell::Cell::new(false);
        let commit = |_: &'static str| {
            if left.get() == 0 && !acted.replace(true) {
                let project = world.project();
                let mut command = Command::new("git");
                command.args([
                    "-c",
                    "user.name=H",
                    "-c",
                    "user.email=h@x",
                    "commit",
                    "-q",
                    "--allow-empty",
                    "-m",
                    "host",
                ]);
                let done = command.current_dir(&project).output().expect("git");
                // Git is kept out while the steps are taken; then the apply is whole.
                lost.set(lost.get() + i32::from(!done.status.success()));
            }
            left.set(left.get() - 1);
        };
        let applied = world.apply_watched(everything, &commit);
        let log = git(&world.project(), &["log", "--all", "--format=%s"]);
        let has_host = log.contains("host");
        assert!(applied.is_err() || log.contains("third"), "{at}: {log}");
        if acted.get() && applied.is_err() {
            assert!(has_host, "{at}: {log}");
        }
        git(&world.project(), &["fsck", "--strict", "--no-dangling"]);
        if !acted.get() {
            break;
        }
        at += 1;
    }
    assert!(
        at > 20 && lost.get() > 0,
        "only {at} effects were seen, {} of them locked",
        lost.get()
    );
}

#[test]
fn across_file_systems_a_repository_is_taken_over_and_back_as_well() {
    let Some(world) = World::apart() else {
        return super::skip(
            "a_repository_across_file_systems",
            "/dev/shm is no other file system",
        );
    };
    let world = prepare(world);
    let before = seen(&world);
    world.apply(everything).expect("applied");
    assert_ne!(seen(&world), before);
    world.undo().expect("undone");
    assert_eq!(seen(&world), before);
}
