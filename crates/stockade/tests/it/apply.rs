//! `apply` and `undo`, from the command line and in a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::pty::Terminal;
use crate::world::World;

/// Exit code, output, and complaint with the test's directories replaced.
pub fn told(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = world.stockade(arguments).output().expect("it runs");
    (
        output.status.code().unwrap_or(-1),
        world.tidy(&output.stdout),
        world.tidy(&output.stderr),
    )
}

pub fn inside(world: &World, script: &str) {
    wait_a_tick();
    let output = world
        .run_with(&["-q"], &["sh", "-c", script])
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.project().join(name)).expect("a file of the project")
}

/// Files of the host get their times by a clock that moves in ticks.
pub fn wait_a_tick() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}

/// A harmless change, a hook and a conflict.
fn prepare() -> World {
    let world = World::new();
    world.file("plain", "1\n");
    world.file("both", "1\n");
    fs::create_dir_all(world.project().join(".git/hooks")).expect("hooks");
    inside(
        &world,
        "echo 2 > plain; echo 2 > both; echo evil > .git/hooks/post-commit",
    );
    wait_a_tick();
    world.file("both", "edited\n");
    world
}

#[test]
fn without_a_terminal_it_must_be_said_what_is_applied() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["apply"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("--safe, --all, or the paths"), "{complaint}");
    assert_eq!(read(&world, "plain"), "1\n");
}

#[test]
fn safe_applies_all_or_nothing() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["apply", "--safe"]);
    assert_eq!(code, 1, "{complaint}");
    assert_eq!(read(&world, "plain"), "1\n");
    assert!(
        complaint.contains("post-commit (risky: ") && complaint.contains("both (conflict: "),
        "{complaint}"
    );
    let clean = World::new();
    inside(&clean, "echo 1 > a");
    assert_eq!(told(&clean, &["apply", "--safe"]).0, 0);
    assert_eq!(read(&clean, "a"), "1\n");
}

#[test]
fn a_conflict_is_never_overwritten_unasked_and_each_choice_does_what_it_says() {
    for (choice, both, beside) in [
        ("leave", "edited\n", None),
        ("host", "edited\n", None),
        ("sandbox", "2\n", None),
        ("beside", "edited\n", Some("2\n")),
    ] {
        let world = prepare();
        let (code, _, complaint) = told(&world, &["apply", "--all", "--conflicts", choice]);
        assert_eq!(code, i32::from(choice == "leave"), "{complaint}");
        assert_eq!(read(&world, "plain"), "2\n");
        assert_eq!(read(&world, "both"), both, "{choice}");
        let there = fs::read_to_string(world.project().join("both.stockade")).ok();
        assert_eq!(there.as_deref(), beside, "{choice}");
    }
}

#[test]
fn a_risky_file_needs_a_yes_or_its_own_name() {
    let world = prepare();
    let hook = world.project().join(".git/hooks/post-commit");
    assert_eq!(told(&world, &["apply", ".git"]).0, 1);
    assert!(!hook.exists());
    let (code, _, complaint) = told(&world, &["apply", ".git/hooks/post-commit"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(hook.exists());
}

#[test]
fn paths_are_from_the_current_directory() {
    let world = World::new();
    fs::create_dir_all(world.project().join(".git")).expect("a repository");
    fs::create_dir(world.project().join("d")).expect("d");
    inside(&world, "echo 1 > d/a; echo 1 > b");
    let mut command = world.stockade(&["apply", "a"]);
    let output = command
        .current_dir(world.project().join("d"))
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(world.project().join("d/a").exists() && !world.project().join("b").exists());
    let (code, _, complaint) = told(&world, &["apply", "nothing-there"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("nothing-there"), "{complaint}");
}

#[test]
fn an_undo_brings_the_files_and_the_pending_changes_back() {
    let world = World::new();
    world.file("a", "1\n");
    fs::set_permissions(world.project().join("a"), fs::Permissions::from_mode(0o640)).expect("a mode");
    inside(&world, "echo 2 > a; chmod 755 a; echo new > b");
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    // A run that finds nothing pending and changes nothing must not take what undo brings back.
    inside(&world, "cat a");
    let (code, _, complaint) = told(&world, &["undo"]);
    assert_eq!(code, 0, "{complaint}");
    let mode = fs::metadata(world.project().join("a"))
        .expect("a")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!((read(&world, "a").as_str(), mode), ("1\n", 0o640));
    assert!(!world.project().join("b").exists());
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    assert_eq!(
        (read(&world, "a"), read(&world, "b")),
        ("2\n".to_owned(), "new\n".to_owned())
    );
}

#[test]
fn an_undo_does_not_lose_what_a_later_run_changed() {
    let world = World::new();
    world.file("a", "1\n");
    inside(&world, "echo 2 > a; echo 2 > b");
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    inside(&world, "echo 3 > a; echo 3 > c");
    let (code, _, complaint) = told(&world, &["undo"]);
    assert_eq!(code, 125);
    assert!(
        complaint.contains("cannot undo: newer changes of a are pending")
            && complaint.contains("--set-aside"),
        "{complaint}"
    );
    assert_eq!(read(&world, "a"), "2\n");
    let (code, out, complaint) = told(&world, &["undo", "--set-aside", "--json"]);
    assert_eq!(code, 0, "{complaint}");
    let out: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let aside = out["set_aside"].as_str().expect("a name");
    assert_eq!(read(&world, "a"), "1\n");
    let shown = |arguments: &[&str]| told(&world, &[&["diff"], arguments].concat()).1;
    let pending = shown(&[]);
    assert!(pending.contains("+2") && !pending.contains("+3"), "{pending}");
    let kept = shown(&["--changes", aside]);
    assert!(kept.contains("+3") && kept.contains("b/c"), "{kept}");
    // What is kept was made of what was applied, and the host has that no more.
    assert_eq!(told(&world, &["apply", "--changes", aside, "a"]).0, 1);
    assert_eq!(read(&world, "a"), "1\n");
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    assert_eq!(read(&world, "a"), "2\n");
}

#[test]
fn an_undo_names_what_changed_since_and_does_nothing() {
    let world = World::new();
    inside(&world, "echo 1 > a; echo 1 > b");
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    world.file("a", "edited\n");
    let (code, _, complaint) = told(&world, &["undo"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("cannot undo: a changed"), "{complaint}");
    assert_eq!(
        (read(&world, "a"), read(&world, "b")),
        ("edited\n".to_owned(), "1\n".to_owned())
    );
}

#[test]
fn while_its_sandbox_runs_a_set_is_not_applied() {
    let world = World::new();
    let _live = crate::sandboxes::Live::start(&world, "box", &[]);
    let (code, _, complaint) = told(&world, &["apply", "--all"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("box uses it: stop that first"), "{complaint}");
    assert!(!world.project().join("by-first").exists());
}

#[test]
fn of_several_applies_at_once_one_does_it_and_the_others_say_so() {
    let world = World::new();
    let script = "for i in $(seq 200); do echo $i > f$i; done";
    let made = world.run_with(&["-q"], &["sh", "-c", script]).status();
    assert!(made.expect("it runs").success());
    let applies: Vec<_> = (0..4)
        .map(|_| {
            let mut command = world.stockade(&["apply", "--all"]);
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("it starts")
        })
        .collect();
    let mut applied = 0;
    for apply in applies {
        let output = apply.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) if said.contains("applied 200 changes") => applied += 1,
            // Who comes when all is done finds nothing; who comes meanwhile is told.
            Some(0) => assert!(said.contains("nothing to apply"), "{said}"),
            _ => assert!(said.contains("another command works on it"), "{said}"),
        }
    }
    assert_eq!(applied, 1);
    assert_eq!(fs::read_dir(world.project()).expect("a listing").count(), 200);
}

#[test]
fn in_a_terminal_it_asks_about_the_rest_and_each_that_is_risky() {
    let world = prepare();
    let mut terminal = Terminal::start(&world.stockade(&["apply"]));
    terminal.expect("apply these 1");
    terminal.keys("y\r");
    terminal.expect("post-commit");
    terminal.expect("apply it?");
    terminal.keys("n\r");
    terminal.expect("keep the host's");
    terminal.keys("b\r");
    terminal.expect("applied 2 changes");
    assert_eq!(terminal.end(), 0);
    assert_eq!(
        (read(&world, "plain"), read(&world, "both")),
        ("2\n".to_owned(), "edited\n".to_owned())
    );
    assert_eq!(read(&world, "both.stockade"), "2\n");
    assert!(!world.project().join(".git/hooks/post-commit").exists());
}

#[test]
fn in_a_terminal_each_file_can_be_asked_about() {
    let world = World::new();
    inside(&world, "for f in a b c d; do echo 1 > $f; done");
    let mut terminal = Terminal::start(&world.stockade(&["apply", "-i"]));
    terminal.expect("A a");
    terminal.keys("y\r");
    terminal.expect("A b");
    terminal.keys("n\r");
    terminal.expect("A c");
    terminal.keys("a\r");
    terminal.expect("applied 3 changes");
    assert_eq!(terminal.end(), 0);
    let there = |name: &str| world.project().join(name).exists();
    assert_eq!(["a", "b", "c", "d"].map(there), [true, false, true, true]);
}

#[test]
fn in_a_terminal_single_hunks_are_applied_and_the_rest_stays_pending() {
    let world = World::new();
    let lines = |first: &str, last: &str| {
        let middle: String = (0..20).map(|number| format!("{number}\n")).collect();
        format!("{first}\n{middle}{last}\n")
    };
    world.file("text", &lines("first", "last"));
    inside(&world, "sed -i 's/first/1st/; s/last/end/' text");
    let mut terminal = Terminal::start(&world.stockade(&["apply", "-i"]));
    terminal.expect("hunk by hunk");
    terminal.keys("h\r");
    terminal.expect("+1st");
    terminal.expect("apply hunk 1 of 2?");
    terminal.keys("n\r");
    terminal.expect("apply hunk 2 of 2?");
    terminal.keys("y\r");
    terminal.expect("applied 1 change");
    assert_eq!(terminal.end(), 0);
    assert_eq!(read(&world, "text"), lines("first", "end"));
    // The rest is no conflict: it was we who changed the host's file.
    let (code, _, complaint) = told(&world, &["apply", "--safe"]);
    assert_eq!(code, 0, "{complaint}");
    assert_eq!(read(&world, "text"), lines("1st", "end"));
    for expected in [lines("first", "end"), lines("first", "last")] {
        assert_eq!(told(&world, &["undo"]).0, 0);
        assert_eq!(read(&world, "text"), expected);
    }
    assert_eq!(told(&world, &["apply", "--safe"]).0, 0);
}

#[test]
fn a_checkpoint_is_taken_while_the_sandbox_runs_and_gone_back_to_afterwards() {
    let world = World::new();
    let live = crate::sandboxes::Live::start(&world, "box", &[]);
    let (code, _, complaint) = told(&world, &["checkpoint", "first"]);
    if complaint.contains("cannot be paused") {
        assert_eq!(code, 125, "{complaint}");
        return; // refused with the reason, as it must be where there is no freezer
    }
    assert_eq!(code, 0, "{complaint}");
    let running = world.stockade(&[
        "exec",
        "box",
        "--",
        "sh",
        "-c",
        "echo later > by-first; echo new > new",
    ]);
    let mut running = running;
    assert!(running.status().expect("it runs").success());
    let (code, _, complaint) = told(&world, &["rewind", "first"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("box uses it"), "{complaint}");
    assert_eq!(told(&world, &["stop", "box"]).0, 0);
    drop(live);
    assert_eq!(told(&world, &["rewind", "first"]).0, 0);
    assert_eq!(told(&world, &["apply", "--all"]).0, 0);
    assert_eq!(read(&world, "by-first"), "made\n");
    assert!(!world.project().join("new").exists());
}

/// The host stays as it is, the change set forgets, and it can be taken back.
#[test]
fn what_is_discarded_is_forgotten_until_it_is_undone() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["discard"]);
    assert_eq!(code, 125);
    assert!(complaint.contains("name the paths, or say --yes"), "{complaint}");
    let (code, _, complaint) = told(&world, &["discard", "plain"]);
    assert_eq!(
        (code, complaint.contains("discarded 1 changes")),
        (0, true),
        "{complaint}"
    );
    let pending = |world: &World| told(world, &["diff", "--name-only"]).1;
    assert!(!pending(&world).contains("plain") && pending(&world).contains("both"));
    assert_eq!(read(&world, "plain"), "1\n");
    assert_eq!(told(&world, &["undo"]).0, 0);
    assert!(pending(&world).contains("plain"), "{}", pending(&world));
    assert_eq!(told(&world, &["discard", "--yes"]).0, 0);
    assert_eq!(pending(&world), "");
    assert_eq!(
        (read(&world, "both"), read(&world, "plain")),
        ("edited\n".into(), "1\n".into())
    );
}

/// A set and a sandbox can have one name: what is shown is what is applied.
#[test]
fn what_is_shown_under_a_name_is_what_is_applied_under_it() {
    let world = World::new();
    let run = |flags: &[&str], script: &str| {
        let output = world
            .run_with(flags, &["sh", "-c", script])
            .output()
            .expect("it runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(&["-q", "--changes", "twin"], "echo 1 > of-the-set");
    run(&["-q", "--name", "twin"], "echo 1 > of-the-sandbox");
    let (_, shown, _) = told(&world, &["diff", "--changes", "twin", "--name-only"]);
    assert_eq!(told(&world, &["apply", "--changes", "twin", "--all"]).0, 0);
    let here = |name: &str| world.project().join(name).exists();
    assert_eq!((here("of-the-set"), here("of-the-sandbox")), (true, false));
    assert!(
        shown.contains("of-the-set") && !shown.contains("of-the-sandbox"),
        "{shown}"
    );
}
