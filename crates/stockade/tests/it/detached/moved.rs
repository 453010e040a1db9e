//! The state directory is moved while a sandbox lives in it.

use std::fs;
use std::process::Output;

use super::{Yard, eventually};

/// A sandbox whose state directory was moved to another place.
struct Moved(Yard);

impl Moved {
    fn after(flags: &[&str], script: &str) -> Self {
        let yard = Yard::new();
        yard.detach(flags, script);
        yard.until_logged("ready");
        fs::rename(yard.path("state"), yard.path("elsewhere")).expect("it is moved");
        Self(yard)
    }

    /// Stockade, told the new place.
    fn call(&self, arguments: &[&str]) -> Output {
        let mut command = self.0.stockade(arguments);
        command.env("XDG_STATE_HOME", self.0.path("elsewhere"));
        command.output().expect("it runs")
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let complaint = self.0.tidy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn inspect(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["inspect", "--json", "box"])).expect("JSON")
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        let _ = self.call(&["stop", "--grace", "0s", "box"]);
        let _ = self.call(&["gc"]);
    }
}

/// It goes on, answers at the new place, and what it changed is kept there.
fn goes_on(mode: &str) {
    let flags = ["--workspace-mode", mode];
    let moved = Moved::after(&flags, "echo one > before; echo ready; exec sleep 1000");
    assert_eq!(moved.inspect()["state"], "running");
    moved.ok(&["exec", "box", "--", "sh", "-c", "echo two > after"]);
    assert!(moved.ok(&["logs", "box"]).contains("ready"));
    // At the former place there is nothing, and what looks there harms nothing.
    assert_eq!(moved.0.ok(&["ls", "-q"]), "");
    moved.0.ok(&["gc"]);
    moved.ok(&["stop", "--grace", "0s", "box"]);
    eventually("its end", || moved.inspect()["state"] == "ended");
    let told = moved.inspect();
    assert_eq!(
        (&told["why"], &told["problems"]),
        (&"stockade stop".into(), &serde_json::json!([]))
    );
    assert_eq!(moved.ok(&["diff", "--name-only"]), "after\nbefore\n", "{mode}");
    moved.ok(&["apply", "--all"]);
    let applied = fs::read_to_string(moved.0.project().join("after"));
    assert_eq!(applied.expect("it was taken over"), "two\n");
    moved.ok(&["rm", "box"]);
    let left = moved.ok(&["gc", "--json"]);
    let left: serde_json::Value = serde_json::from_str(&left).expect("JSON");
    assert_eq!(
        (&left["dead"], &left["reaped"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}

#[test]
fn a_sandbox_whose_state_directory_is_moved_goes_on_and_its_changes_are_kept() {
    goes_on("cow");
}

#[test]
fn a_sandbox_with_a_copy_whose_state_directory_is_moved_keeps_its_changes() {
    goes_on("copy");
}

#[test]
fn the_disk_limit_holds_where_the_state_directory_is_moved() {
    let script = "echo ready; until test -e go; do sleep 0.05; done; dd if=/dev/zero of=large bs=1M count=64; exec sleep 1000";
    let moved = Moved::after(&["--disk", "8M", "--prefer", "disk"], script);
    moved.ok(&["exec", "box", "--", "touch", "go"]);
    eventually("its end", || moved.inspect()["state"] == "ended");
    assert_eq!(moved.inspect()["why"], "disk limit of 8 MiB");
}

#[test]
fn a_supervisor_that_is_killed_after_the_move_is_collected_at_the_new_place() {
    let moved = Moved::after(&[], "echo one > before; echo ready; exec sleep 1000");
    let supervisor = moved.inspect()["supervisor_pid"].as_i64().expect("a supervisor");
    let supervisor =
        rustix::process::Pid::from_raw(i32::try_from(supervisor).expect("a pid")).expect("a pid");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("it is killed");
    eventually("lost", || moved.inspect()["state"] == "lost");
    moved.ok(&["gc"]);
    assert_eq!(moved.ok(&["diff", "--name-only"]), "before\n");
}
