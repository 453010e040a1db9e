//! The end of the sandbox.

use std::io::Read;
use std::process::Command;

use stockade_wire::{ExecRequest, ExitStatus, ToGuest};

use crate::client::{SIZE, request, script};
use crate::sandbox::Sandbox;

crate::tests![
    shutdown_asks_first,
    shutdown_kills_the_deaf,
    shutdown_without_commands_is_quick,
    stopped_commands_end_too,
    closed_door_kills_everything,
    lost_link_kills_nothing,
];

/// A named pipe that tells when the last process that holds its other end is gone.
struct Canary {
    path: String,
    reader: std::fs::File,
}

impl Canary {
    fn new(name: &str) -> Self {
        let path = format!(
            "{}/stockade-canary-{name}-{}",
            std::env::temp_dir().display(),
            std::process::id()
        );
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        // Opened for both, it waits for nobody; the command opens it next.
        let reader = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        Self { path, reader }
    }

    /// A script that leaves a process which is deaf, in its own session, and holds the pipe.
    fn holder(&self) -> String {
        format!(
            "(trap '' TERM HUP INT; exec setsid sh -c 'exec 9>{}; echo up >&9; sleep 1000') &",
            self.path
        )
    }

    /// Waits until the holder is up, and keeps only the reading end.
    fn wait_up(&mut self) {
        let mut byte = [0; 3];
        self.reader.read_exact(&mut byte).unwrap();
        self.reader = std::fs::File::open(&self.path).unwrap();
    }

    /// Waits until nobody holds it.
    fn wait_gone(mut self) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

// Commands are asked to end, their last words arrive, and the guest ends with 0.
fn shutdown_asks_first() {
    let (mut sandbox, mut client) = Sandbox::start();
    let id = client.start(script(
        "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
    ));
    let terminal = client.start(ExecRequest {
        tty: Some(SIZE),
        ..script("echo ready; exec sleep 1000")
    });
    client.until_output(id, "ready");
    client.until_output(terminal, "ready");
    client.send(&ToGuest::Shutdown { grace_ms: 60_000 });
    while client.step() {}
    assert_eq!(client.execs[&id].stdout, b"ready\nbye\n");
    assert_eq!(client.execs[&id].status, Some(ExitStatus::Code(3)));
    assert_eq!(client.execs[&terminal].status, Some(ExitStatus::Signal(15)));
    assert_eq!(sandbox.wait().code(), Some(0));
}

// Who does not listen is killed after the grace, wherever it hides.
fn shutdown_kills_the_deaf() {
    let (mut sandbox, mut client) = Sandbox::start();
    let mut canary = Canary::new("deaf");
    let id = client.start(script(&format!(
        "trap '' TERM; {} echo ready; while :; do sleep 1; done",
        canary.holder()
    )));
    client.until_output(id, "ready");
    canary.wait_up();
    client.send(&ToGuest::Shutdown { grace_ms: 50 });
    while client.step() {}
    canary.wait_gone();
    assert_eq!(client.execs[&id].status, Some(ExitStatus::Signal(9)));
    assert_eq!(sandbox.wait().code(), Some(0));
}

// With nothing to wait for, the grace is not waited for.
fn shutdown_without_commands_is_quick() {
    let (mut sandbox, mut client) = Sandbox::start();
    client.run(request(&["true"]));
    client.send(&ToGuest::Shutdown { grace_ms: u32::MAX });
    while client.step() {}
    assert_eq!(sandbox.wait().code(), Some(0));
}

// A stopped process hears of the end, too.
fn stopped_commands_end_too() {
    let (mut sandbox, mut client) = Sandbox::start();
    let id = client.start(script("kill -STOP $$; sleep 1000"));
    client.until(|client| client.execs[&id].count("stopped") == 1);
    client.send(&ToGuest::Shutdown { grace_ms: u32::MAX });
    while client.step() {}
    assert_eq!(client.execs[&id].status, Some(ExitStatus::Signal(15)));
    assert_eq!(sandbox.wait().code(), Some(0));
}

// The supervisor dies: nothing keeps running, deaf or hidden.
fn closed_door_kills_everything() {
    let (mut sandbox, mut client) = Sandbox::start();
    let mut canary = Canary::new("door");
    client.run(script(&canary.holder()));
    canary.wait_up();
    sandbox.close_door();
    canary.wait_gone();
    sandbox.wait();
}

// Control of the above: without a link, but with the door, everything keeps running.
fn lost_link_kills_nothing() {
    let (sandbox, mut client) = Sandbox::start();
    let mut canary = Canary::new("link");
    let id = client.start(script(&format!("{} exec sleep 1000", canary.holder())));
    canary.wait_up();
    client.relink(sandbox.new_link());
    client.until(|client| client.execs[&id].pid.is_some());
    assert!(!client.execs[&id].is_over());
    assert_eq!(client.run(script("echo on")).stdout, b"on\n");
    drop(sandbox);
    canary.wait_gone();
}
