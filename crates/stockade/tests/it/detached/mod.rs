//! Sandboxes that live without a terminal.

mod attach;
mod faults;
mod life;
mod live;
mod modes;
mod moved;
mod pause;
mod real;
mod renames;

pub use pause::skip;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::Value;

use crate::world::World;

/// Much longer than anything takes: a loaded machine only makes a test slow, never wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world whose sandboxes end with it.
struct Yard(World);

impl std::ops::Deref for Yard {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let listed = self.stockade(&["ls", "-q"]).output().expect("ls");
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let _ = self.stockade(&["stop", "--grace", "0s", name]).output();
        }
    }
}

impl Yard {
    fn new() -> Self {
        Self(World::new())
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.stockade(arguments).output().expect("it runs")
    }

    /// Succeeds, and returns standard output.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let complaint = self.tidy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Fails with 125, and returns what is said.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let complaint = self.tidy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}: {complaint}");
        complaint
    }

    /// `run -d --name box FLAGS -- sh -c SCRIPT`
    fn detach(&self, flags: &[&str], script: &str) {
        let arguments = [
            &["run", "-q", "-d", "--name", "box"],
            flags,
            &["--", "sh", "-c", script],
        ]
        .concat();
        assert_eq!(self.ok(&arguments), "box\n");
    }

    fn inspect(&self) -> Value {
        serde_json::from_str(&self.ok(&["inspect", "--json", "box"])).expect("JSON")
    }

    fn supervisor(&self) -> Pid {
        let pid = self.inspect()["supervisor_pid"].as_i64().expect("a supervisor");
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
    }

    fn state(&self) -> String {
        self.inspect()["state"].as_str().expect("a state").to_owned()
    }

    fn until_state(&self, state: &str) {
        eventually(&format!("state {state}"), || self.state() == state);
    }

    fn until_logged(&self, text: &str) {
        eventually(text, || self.ok(&["logs", "box"]).contains(text));
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// True if a process is in this PID namespace and lives.
fn in_namespace(name: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes.filter_map(Result::ok).any(|process| {
        let link = std::fs::read_link(process.path().join("ns/pid"));
        link.is_ok_and(|link| link.as_os_str() == name) && lives(&process.path())
    })
}

/// True if this folder of /proc is of a process that has not ended. In a container, PID 1 may be a
/// program that takes no notice of the end of orphans, which are listed then for as long as it runs.
fn lives(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status"));
    status.is_ok_and(|status| !status.contains("\nState:\tZ"))
}
