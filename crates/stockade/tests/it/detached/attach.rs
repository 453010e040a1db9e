//! What a detached command writes, and typing to it.

use std::io::{Read, Write};
use std::process::Stdio;

use super::{Yard, eventually};
use crate::pty::Terminal;

#[test]
fn attach_resumes_by_offset_and_tells_the_end() {
    let yard = Yard::new();
    yard.detach(&["-i"], "echo one; read line; echo got $line; exit 5");
    yard.until_logged("one");
    let mut attached = yard
        .stockade(&["attach", "-q", "--from", "0", "box"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    attached
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"word\n")
        .expect("it reads");
    let output = attached.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ngot word\n");
    assert_eq!(output.status.code(), Some(5));
    let said = yard.refused(&["attach", "box"]);
    assert!(said.contains("stockade logs box"), "{said}");
}

#[test]
fn many_watch_and_one_types() {
    let yard = Yard::new();
    yard.detach(&["-i"], "cat");
    let mut typing = yard
        .stockade(&["attach", "-q", "box"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = typing.stdin.take().expect("a pipe");
    stdin.write_all(b"first\n").expect("it reads");
    yard.until_logged("first");
    let said = yard.refused(&["attach", "box"]);
    assert!(said.contains("--read-only"), "{said}");
    let watch = || {
        let mut one = yard
            .stockade(&["attach", "-q", "--read-only", "--from", "0", "box"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = [0; 6];
        let out = one.stdout.as_mut().expect("a pipe");
        out.read_exact(&mut line).expect("what is kept");
        assert_eq!(&line, b"first\n");
        one
    };
    let watching = [watch(), watch(), watch()];
    stdin.write_all(b"second\n").expect("it reads");
    drop(stdin);
    let of_typist = typing.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&of_typist.stdout), "first\nsecond\n");
    for one in watching {
        let output = one.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "second\n");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn detach_keys_leave_a_terminal_running() {
    let yard = Yard::new();
    yard.ok(&[
        "run",
        "-q",
        "-d",
        "-t",
        "--name",
        "box",
        "--",
        "bash",
        "--norc",
        "--noprofile",
    ]);
    let mut terminal = Terminal::start(&yard.stockade(&["attach", "box"]));
    terminal.keys("echo $((6*7)); stty size\r");
    terminal.expect("42");
    terminal.expect("24 80");
    terminal.keys("\x10\x11");
    terminal.expect("goes on");
    assert_eq!(terminal.end(), 0);
    assert!(terminal.is_cooked());
    let mut again =
        Terminal::start(&yard.stockade(&["attach", "--detach-keys", "ctrl-]", "--from", "0", "box"]));
    again.expect("42");
    again.keys("echo $((7*11))\r");
    again.expect("77");
    again.keys("\x1d");
    assert_eq!(again.end(), 0);
    assert_eq!(yard.state(), "running");
}

#[test]
fn a_reader_that_never_reads_holds_up_nobody() {
    let yard = Yard::new();
    yard.detach(
        &["--log-size", "256K"],
        "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo finished; exec sleep 1000",
    );
    let deaf = || {
        yard.stockade(&["logs", "-f", "box"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs")
    };
    let mut readers = [deaf(), deaf()];
    eventually("the end of the output", || {
        yard.ok(&["logs", "--tail", "1", "box"]) == "finished\n"
    });
    for reader in &mut readers {
        reader.kill().expect("it is ours");
        reader.wait().expect("it ends");
    }
    let kept = yard.ok(&["logs", "box"]).len();
    assert!((10_000..400_000).contains(&kept), "{kept}");
}

#[test]
fn logs_of_a_follower_go_on_to_the_end() {
    let yard = Yard::new();
    yard.detach(&["-i"], "echo old; read line; echo new");
    yard.until_logged("old");
    let mut following = yard
        .stockade(&["logs", "-f", "box"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut first = [0; 4];
    let mut out = following.stdout.take().expect("a pipe");
    out.read_exact(&mut first).expect("what is kept");
    let mut typing = yard
        .stockade(&["attach", "-q", "box"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    typing
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"go\n")
        .expect("it reads");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the end");
    assert_eq!((&first, rest.as_str()), (b"old\n", "new\n"));
    assert!(following.wait().expect("it ends").success());
    typing.wait().expect("it ends");
}
