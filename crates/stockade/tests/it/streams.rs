//! Standard streams: nothing is lost, nothing blocks the supervisor.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::world::World;

#[test]
fn standard_input_is_forwarded_with_its_end() {
    let world = World::new();
    let mut child = world
        .run_with(&["-q"], &["sha256sum"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&vec![b'x'; 3 << 20]).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let host = std::process::Command::new("sh")
        .args(["-c", "head -c 3145728 /dev/zero | tr '\\0' x | sha256sum"])
        .output()
        .expect("sha256sum");
    assert_eq!(output.stdout, host.stdout);
}

#[test]
fn standard_input_from_a_file_and_from_nothing() {
    let world = World::new();
    world.file("in", "from a file\n");
    let file = std::fs::File::open(world.project().join("in")).expect("a file");
    let output = world
        .run_with(&["-q"], &["cat"])
        .stdin(file)
        .output()
        .expect("it runs");
    assert_eq!(output.stdout, b"from a file\n");
    let output = world
        .run_with(&["-q"], &["cat"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.stdout, b"");
}

#[test]
fn standard_input_that_stays_open_does_not_hold_the_end_back() {
    let world = World::new();
    let mut child = world
        .run_with(&["-q"], &["true"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let held = child.stdin.take();
    assert!(child.wait().expect("it ends").success());
    drop(held);
}

#[test]
fn large_output_arrives_whole() {
    let world = World::new();
    let output = world
        .run_with(&["-q"], &["head", "-c", "20000000", "/dev/zero"])
        .output()
        .expect("it runs");
    assert_eq!(output.stdout.len(), 20_000_000);
}

#[test]
fn a_reader_that_leaves_ends_the_writer() {
    let world = World::new();
    let mut child = world
        .run_with(&["-q"], &["yes"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut some = [0u8; 2];
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_exact(&mut some)
        .expect("some output");
    // `take` dropped the pipe: nobody reads any more.
    let code = child.wait().expect("it ends").code();
    assert_eq!((code, &some), (Some(141), b"y\n"));
}

#[test]
fn a_reader_that_stands_still_does_not_stop_the_clock() {
    let world = World::new();
    let mut child = world
        .run_with(&["-q", "--timeout", "500ms"], &["yes"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let held = child.stdout.take();
    assert_eq!(child.wait().expect("it ends").code(), Some(124));
    drop(held);
}

#[test]
fn output_goes_to_files_in_order() {
    let world = World::new();
    let out = std::fs::File::create(world.path("out")).expect("a file");
    let mut command = world.run_with(&["-q"], &["sh", "-c", "echo 1; echo 2; echo 3"]);
    assert!(command.stdout(out).status().expect("it runs").success());
    assert_eq!(
        std::fs::read_to_string(world.path("out")).expect("the file"),
        "1\n2\n3\n"
    );
}

#[test]
fn a_supervisor_that_shall_end_asks_its_command_first() {
    let world = World::new();
    let mut child = world
        .run_with(
            &["-q"],
            &[
                "sh",
                "-c",
                "trap 'echo caught; exit 6' TERM; echo armed; while :; do sleep 0.1; done",
            ],
        )
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut out = child.stdout.take().expect("a pipe");
    let mut armed = [0u8; 6];
    out.read_exact(&mut armed).expect("armed");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert_eq!(
        (rest.as_str(), child.wait().expect("it ends").code()),
        ("caught\n", Some(137))
    );
}
