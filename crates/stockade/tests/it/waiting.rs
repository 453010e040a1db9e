//! What takes over a second says so, on a terminal and nowhere else.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::pty::Terminal;
use crate::world::World;

const SAID: &str = "looking for what was left behind";

/// A name of nobody, and the lock without which `gc` cannot free it.
fn held_up(world: &World) -> File {
    let names = world.path("state/stockade/names");
    // Makes the directories.
    assert!(
        world
            .stockade(&["gc"])
            .output()
            .expect("it runs")
            .status
            .success()
    );
    std::os::unix::fs::symlink("000000000000", names.join("nobody")).expect("a name");
    let lock = File::open(&names).expect("the directory");
    flock(&lock, FlockOperation::LockExclusive).expect("nobody else has it");
    lock
}

#[test]
fn a_terminal_is_told_and_left_clean() {
    let world = World::new();
    let lock = held_up(&world);
    let mut terminal = Terminal::start(&world.stockade(&["gc"]));
    terminal.expect(SAID);
    drop(lock);
    assert_eq!(terminal.end(), 0);
    let shown = terminal.contents();
    assert!(
        !shown.contains(SAID) && shown.contains("nothing was left behind"),
        "{shown}"
    );
}

#[test]
fn files_pipes_and_programs_are_told_nothing() {
    /// Twice what a terminal waits for the word.
    const LONG: Duration = Duration::from_secs(2);
    let world = World::new();
    let lock = held_up(&world);
    let mut piped = world.stockade(&["gc"]);
    let piped = piped
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut json = Terminal::start(&world.stockade(&["gc", "--json"]));
    std::thread::sleep(LONG);
    drop(lock);
    let output = piped.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(json.end(), 0);
    let received = String::from_utf8_lossy(&json.received).into_owned();
    assert!(
        !received.contains(SAID) && received.contains("freed"),
        "{received}"
    );
}
