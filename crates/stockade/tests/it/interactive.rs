//! Interactive use, in a real terminal.

use crate::pty::Terminal;
use crate::world::World;

/// Text of a prompt that a test can wait for; the quotes keep the typed line from matching.
const PROMPT: &str = "PS1='rea''dy> '\r";

#[test]
fn a_terminal_is_given_when_all_streams_are_one() {
    let world = World::new();
    let mut terminal =
        Terminal::start(&world.run(&["sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo is a tty"]));
    terminal.expect("is a tty");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn no_terminal_is_given_when_it_is_refused() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run_with(&["-T"], &["sh", "-c", "test -t 1 || echo no tty"]));
    terminal.expect("no tty");
    assert_eq!(terminal.end(), 0);
}

/// Whether what sets the clipboard arrives at the user's terminal; colours always do.
fn sets_the_clipboard(flags: &[&str]) -> bool {
    let world = World::new();
    let script = r"printf 'a\033]52;c;Y2xpcA==\007b\033[31mred\033[0m\n'";
    let mut terminal = Terminal::start(&world.run_with(flags, &["sh", "-c", script]));
    terminal.expect("abred");
    assert_eq!(terminal.end(), 0);
    let received = String::from_utf8_lossy(&terminal.received).into_owned();
    assert!(received.contains("\x1b[31mred\x1b[0m"), "{received:?}");
    received.contains("52;c")
}

#[test]
fn what_a_command_writes_does_not_reach_the_clipboard_unless_that_is_asked_for() {
    assert!(!sets_the_clipboard(&["-T"]));
    assert!(!sets_the_clipboard(&["-t"]));
    assert!(sets_the_clipboard(&["-T", "--raw-output"]));
    assert!(sets_the_clipboard(&["-t", "--raw-output"]));
}

#[test]
fn the_users_terminal_is_not_the_commands() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run(&["sh", "-c", "tty; stat -c %d:%i /dev/pts/0; echo end"]));
    terminal.expect("/dev/pts/");
    terminal.expect("end");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_shell_controls_jobs() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run(&["bash", "--norc", "--noprofile", "-i"]));
    terminal.keys(PROMPT);
    terminal.expect("ready>");
    // The quotes keep the typed line from matching.
    terminal.keys("sh -c 'echo run\"\"ning; exec sleep 1000'\r");
    terminal.expect("running");
    terminal.keys("\x1a");
    terminal.expect("Stopped");
    terminal.keys("kill -9 %1; wait; jobs; echo 'do''ne'\r");
    terminal.expect("done");
    assert!(
        !terminal.contents().contains("no job control"),
        "{}",
        terminal.contents()
    );
    terminal.keys("exit 7\r");
    assert_eq!(terminal.end(), 7);
    assert!(terminal.is_cooked());
}

#[test]
fn vim_opens_and_quits() {
    let world = World::new();
    world.file("text", "first line\nsecond line\n");
    let mut terminal = Terminal::start(&world.run(&["vi", "text"]));
    terminal.expect("second line");
    terminal.expect("~");
    terminal.keys(":q\r");
    assert_eq!(terminal.end(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn resizing_reaches_the_command() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run(&["bash", "--norc", "--noprofile", "-i"]));
    terminal.keys(PROMPT);
    terminal.expect("ready>");
    terminal.keys("stty size\r");
    terminal.expect("24 80");
    terminal.resize(40, 100);
    // The size travels beside the keys: ask until it is there.
    terminal.keys("until [ \"$(stty size)\" = '40 100' ]; do :; done; echo 're''sized'\r");
    terminal.expect("resized");
    terminal.keys("exit\r");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn ctrl_c_interrupts_the_command() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run(&[
        "sh",
        "-c",
        "trap 'echo caught; exit 9' INT; echo armed; while :; do sleep 1; done",
    ]));
    terminal.expect("armed");
    terminal.keys("\x03");
    terminal.expect("caught");
    assert_eq!(terminal.end(), 9);
}

#[test]
fn ctrl_c_interrupts_without_a_terminal_too() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.run_with(
        &["-T"],
        &[
            "sh",
            "-c",
            "trap 'echo caught; exit 9' INT; echo armed; while :; do sleep 1; done",
        ],
    ));
    terminal.expect("armed");
    terminal.keys("\x03");
    terminal.expect("caught");
    assert_eq!(terminal.end(), 9);
}

#[test]
fn the_terminal_is_given_back_after_a_kill_from_outside() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.host_shell());
    terminal.keys(PROMPT);
    terminal.expect("ready>");
    terminal.keys(&format!(
        "{} run --name victim -- sh -c 'echo star\"\"ted; sleep 1000'\r",
        world.program()
    ));
    terminal.expect("started");
    let stopped = world
        .stockade(&["stop", "--grace", "100ms", "victim"])
        .status()
        .expect("it runs");
    assert!(stopped.success());
    terminal.expect("stopped from outside (stockade stop)");
    terminal.wait_for("the shell has its terminal back", Terminal::is_cooked);
    terminal.keys("exit 0\r");
    assert_eq!(terminal.end(), 0);
}
