//! Living sandboxes: exec, ls, stop, rm, changes, gc.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::pty::Terminal;
use crate::world::World;

/// A sandbox that runs until it is stopped.
pub struct Live {
    child: Child,
}

impl Live {
    pub fn start(world: &World, name: &str, flags: &[&str]) -> Self {
        let flags = [&["-q", "--name", name], flags].concat();
        let mut command = world.run_with(
            &flags,
            &["sh", "-c", "echo made > by-first; echo up; exec sleep 1000"],
        );
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line, "up\n");
        Self { child }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json(mut command: Command) -> serde_json::Value {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn exec_sees_what_the_sandbox_sees() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let output = world
        .stockade(&["exec", "box", "--", "sh", "-c", "cat by-first; exit 9"])
        .output()
        .expect("it runs");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(9), &b"made\n"[..])
    );
    assert!(!world.project().join("by-first").exists());
}

#[test]
fn exec_takes_a_directory_and_variables() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let arguments = [
        "exec",
        "-w",
        "/usr",
        "-e",
        "X=1",
        "box",
        "--",
        "sh",
        "-c",
        "echo $PWD $X",
    ];
    let output = world.stockade(&arguments).output().expect("it runs");
    assert_eq!(output.stdout, b"/usr 1\n", "{}", world.tidy(&output.stderr));
}

#[test]
fn exec_of_what_does_not_exist_is_127() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let output = world
        .stockade(&["exec", "box", "--", "no-such-command"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(127), "{}", world.tidy(&output.stderr));
}

#[test]
fn ls_shows_the_living() {
    let world = World::new();
    assert_eq!(json(world.stockade(&["ls", "--json"])), serde_json::json!([]));
    let _live = Live::start(&world, "box", &[]);
    let listed = json(world.stockade(&["ls", "--json"]));
    assert_eq!(
        (&listed[0]["name"], &listed[0]["driver"]),
        (&"box".into(), &"native".into())
    );
    assert_eq!(listed[0]["state"], "running");
    let text = world.stockade(&["ls"]).output().expect("it runs");
    assert!(
        world.tidy(&text.stdout).contains("box"),
        "{}",
        world.tidy(&text.stdout)
    );
}

#[test]
fn on_a_terminal_alone_ls_shows_what_all_share() {
    const SHARED: &str = "all together";
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let piped = world.stockade(&["ls"]).output().expect("it runs");
    assert_eq!(world.tidy(&piped.stderr), "");
    let inspected = json(world.stockade(&["inspect", "--json", "box"]));
    let mut terminal = Terminal::start(&world.stockade(&["ls"]));
    assert_eq!(terminal.end(), 0);
    let shown = terminal.contents();
    assert!(shown.contains("box"), "{shown}");
    // Without control groups nothing is shared.
    assert_eq!(shown.contains(SHARED), !inspected["budget"].is_null(), "{shown}");
}

#[test]
fn a_name_is_taken_only_once() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let output = world
        .run_with(&["--name", "box"], &["true"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        world.tidy(&output.stderr).contains("box"),
        "{}",
        world.tidy(&output.stderr)
    );
}

#[test]
fn stop_says_how_a_sandbox_had_ended_before() {
    let world = World::new();
    let script = ["sh", "-c", "exit 7"];
    let run = world.run_with(&["--keep", "--name", "box"], &script).status();
    assert_eq!(run.expect("it runs").code(), Some(7));
    let told = world.stockade(&["stop", "box"]).output().expect("it runs");
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(
        world.tidy(&told.stderr),
        "stockade: box: had already ended (exit 7)\n"
    );
    let results = json(world.stockade(&["stop", "--json", "box"]));
    assert_eq!(results[0]["what"], "had already ended (exit 7)");
}

#[test]
fn stop_tells_of_a_supervisor_that_was_killed() {
    let world = World::new();
    let mut live = Live::start(&world, "box", &[]);
    live.child
        .kill()
        .and_then(|()| live.child.wait())
        .expect("it is killed");
    let told = world.stockade(&["stop", "box"]).output().expect("it runs");
    let text = world.tidy(&told.stderr);
    assert!(
        text.contains("supervisor was killed") && text.contains("stockade gc"),
        "{text}"
    );
}

#[test]
fn stop_ends_it_with_137() {
    let world = World::new();
    let mut live = Live::start(&world, "box", &[]);
    assert!(
        world
            .stockade(&["stop", "--grace", "100ms", "box"])
            .status()
            .expect("it runs")
            .success()
    );
    assert_eq!(live.child.wait().expect("it ends").code(), Some(137));
    assert_eq!(json(world.stockade(&["ls", "--json"])), serde_json::json!([]));
}

#[test]
fn rm_refuses_the_living_unless_forced() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let refused = world.stockade(&["rm", "box"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(125));
    assert!(
        world.tidy(&refused.stderr).contains("--force"),
        "{}",
        world.tidy(&refused.stderr)
    );
    assert!(
        world
            .stockade(&["rm", "--force", "box"])
            .status()
            .expect("it runs")
            .success()
    );
    assert_eq!(
        json(world.stockade(&["changes", "--json"])),
        serde_json::json!([])
    );
}

#[test]
fn changes_outlive_the_sandbox_and_are_listed() {
    let world = World::new();
    world.file("old", "1");
    world
        .run_with(
            &["--name", "one"],
            &["sh", "-c", "echo 22 > old; echo 3 > 'new\u{1b}[2J'"],
        )
        .output()
        .expect("it runs");
    let sets = json(world.stockade(&["changes", "--json"]));
    assert_eq!(
        (&sets[0]["sandbox"], &sets[0]["added"], &sets[0]["changed"]),
        (&"one".into(), &1.into(), &1.into())
    );
    let list = world.stockade(&["changes", "one"]).output().expect("it runs");
    let text = world.tidy(&list.stdout);
    assert!(
        text.contains("M old (3 B)") && text.contains("A new\\u{1b}[2J (2 B)"),
        "{text}"
    );
    let files = json(world.stockade(&["changes", "--json", "one"]));
    assert_eq!(files["changes"].as_array().map(Vec::len), Some(2));
    assert!(
        world
            .stockade(&["rm", "one"])
            .status()
            .expect("it runs")
            .success()
    );
    assert_eq!(
        json(world.stockade(&["changes", "--json"])),
        serde_json::json!([])
    );
}

#[test]
fn rm_flag_throws_changes_away() {
    let world = World::new();
    world
        .run_with(&["--rm"], &["sh", "-c", "echo 3 > new"])
        .output()
        .expect("it runs");
    assert_eq!(
        json(world.stockade(&["changes", "--json"])),
        serde_json::json!([])
    );
}

#[test]
fn keep_leaves_a_record() {
    let world = World::new();
    world
        .run_with(&["--keep", "--name", "kept"], &["true"])
        .output()
        .expect("it runs");
    let listed = json(world.stockade(&["ls", "--json"]));
    assert_eq!(
        (&listed[0]["name"], &listed[0]["state"]),
        (&"kept".into(), &"ended".into())
    );
    assert!(
        world
            .stockade(&["rm", "kept"])
            .status()
            .expect("it runs")
            .success()
    );
}

#[test]
fn gc_reaps_what_a_killed_supervisor_left() {
    let world = World::new();
    let mut live = Live::start(&world, "box", &[]);
    live.child.kill().expect("SIGKILL");
    live.child.wait().expect("it ends");
    let planned = json(world.stockade(&["gc", "--dry-run", "--json"]));
    assert_eq!(planned["dead"].as_array().map(Vec::len), Some(1), "{planned}");
    assert!(world.stockade(&["gc"]).status().expect("it runs").success());
    assert_eq!(json(world.stockade(&["ls", "--json"])), serde_json::json!([]));
}
