//! Pausing.

use std::io::Write;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::{Yard, eventually, in_namespace};

/// Why nothing can be paused here, if nothing can.
pub fn cannot_pause(yard: &Yard) -> bool {
    let output = yard.call(&["pause", "box"]);
    if output.status.success() {
        return false;
    }
    let said = yard.tidy(&output.stderr);
    let has_reason = [
        "control group",
        "freezer",
        "frozen",
        "belongs to another user",
        "read-only",
    ];
    assert!(has_reason.iter().any(|reason| said.contains(reason)), "{said}");
    assert!(!said.contains("busy"), "{said}");
    skip("pause", &said);
    true
}

pub fn skip(name: &str, reason: &str) {
    if let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") {
        let file = std::fs::File::options().append(true).create(true).open(log);
        let reason = reason.lines().next().unwrap_or_default();
        writeln!(file.expect("the log of skips"), "SKIP {name}: {reason}").expect("it is written");
    }
}

#[test]
fn paused_nothing_runs_and_resumed_all_goes_on() {
    let yard = Yard::new();
    yard.detach(&[], "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done");
    yard.until_logged("3");
    if cannot_pause(&yard) {
        return;
    }
    assert_eq!(yard.state(), "paused");
    // Positive control: what was on its way comes to rest, which a running loop never does.
    let mut before = String::new();
    eventually("rest", || {
        let now = yard.ok(&["logs", "-n", "1", "box"]);
        std::thread::sleep(Duration::from_millis(100));
        std::mem::replace(&mut before, now.clone()) == now
    });
    let said = yard.refused(&["exec", "box", "--", "true"]);
    assert!(
        said.contains("cannot run true: it is paused: stockade resume"),
        "{said}"
    );
    yard.ok(&["resume", "box"]);
    assert_eq!(yard.state(), "running");
    eventually("more", || yard.ok(&["logs", "-n", "1", "box"]) != before);
}

#[test]
fn a_paused_sandbox_can_be_stopped_and_hears_the_request() {
    let yard = Yard::new();
    yard.detach(
        &[],
        "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done",
    );
    yard.until_logged("up");
    if cannot_pause(&yard) {
        return;
    }
    yard.ok(&["stop", "--grace", "30s", "box"]);
    assert!(yard.ok(&["logs", "box"]).ends_with("asked\n"));
    yard.ok(&["rm", "box"]);
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    yard.ok(&["pause", "box"]);
    yard.ok(&["stop", "--grace", "0s", "box"]);
    assert_eq!(yard.state(), "ended");
}

#[test]
fn what_is_paused_dies_with_its_supervisor_and_is_collected() {
    let yard = Yard::new();
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    let inside = yard.ok(&["exec", "box", "--", "readlink", "/proc/self/ns/pid"]);
    if cannot_pause(&yard) {
        return;
    }
    // Positive control: it is there, and stays.
    assert!(in_namespace(inside.trim()));
    kill_process(yard.supervisor(), Signal::KILL).expect("it is ours");
    yard.until_state("lost");
    eventually("no process of it", || !in_namespace(inside.trim()));
    yard.ok(&["gc"]);
    assert_eq!(yard.state(), "ended");
}

#[test]
fn pausing_leaves_no_process_behind() {
    let yard = Yard::new();
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    let supervisor = yard.supervisor().as_raw_pid();
    let children = || {
        let list = format!("/proc/{supervisor}/task/{supervisor}/children");
        std::fs::read_to_string(list).expect("it lives")
    };
    let before = children();
    if cannot_pause(&yard) {
        return;
    }
    for _ in 0..2 {
        yard.ok(&["resume", "box"]);
        assert_eq!(yard.state(), "running");
        yard.ok(&["pause", "box"]);
        assert_eq!(yard.state(), "paused");
    }
    yard.ok(&["resume", "box"]);
    assert_eq!(children(), before);
}
