//! Ends that leave no time, and guests that are gone.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::Yard;

const PATIENCE: Duration = Duration::from_secs(30);

fn told(yard: &Yard) -> serde_json::Value {
    serde_json::from_str(&yard.ok(&["inspect", "--json", "box"])).expect("JSON")
}

/// The guest of the sandbox, as its record has it.
fn guest_of(yard: &Yard) -> Pid {
    let told = told(yard);
    let folder = told["directory"].as_str().expect("a directory");
    let status = std::fs::read_to_string(Path::new(folder).join("status.json")).unwrap();
    let body = &status[status.find("\"body\"").expect("a record")..];
    let pid = &body[body.find("\"pid\":").expect("a process") + 6..];
    let digits: String = pid.chars().take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().unwrap()).unwrap()
}

#[test]
fn a_time_limit_leaves_what_was_changed_before_it() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host("echo a > a");
    let words = [
        &["run", "--timeout", "5s"],
        super::LANDLOCK,
        &[
            super::OVER_LINK,
            "--",
            "sh",
            "-c",
            "echo b > a; sleep 1000 & wait",
        ],
    ];
    let output = yard.output(&words.concat());
    assert_eq!(output.status.code(), Some(124));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("lost"), "{said}");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\n");
}

#[test]
fn what_a_command_leaves_running_is_ended_before_the_last_look() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host("echo a > a");
    yard.run(
        "(trap '' TERM; while :; do echo x >> grows; done) & until test -s grows; do :; done; echo b > a",
    );
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\ngrows\n");
}

#[test]
fn a_guest_that_is_killed_leaves_what_was_fetched_before_and_it_is_said() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host("echo a > a; mkdir d; echo b > d/b");
    yard.create();
    yard.exec("echo one > a; rm d/b");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\nd/b\n");
    yard.exec("echo two > a; echo lost > lost");
    kill_process(guest_of(&yard), Signal::KILL).unwrap();
    let end = Instant::now() + PATIENCE;
    while told(&yard)["ended_ms"].is_null() {
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\nd/b\n");
    assert!(yard.ok(&["diff"]).contains("+one"));
    let problems = told(&yard).to_string();
    assert!(problems.contains("what was changed later is lost"), "{problems}");
}

#[test]
fn a_killed_supervisor_leaves_what_was_fetched_before() {
    let Some(yard) = Yard::new(true) else { return };
    yard.host("echo a > a");
    yard.create();
    yard.exec("echo one > a");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "a\n");
    yard.exec("echo two > a");
    let pid = told(&yard)["supervisor_pid"].as_i64().expect("a supervisor");
    let shim = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(shim, Signal::KILL).unwrap();
    let end = Instant::now() + PATIENCE;
    while test_kill_process(shim).is_ok() {
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    yard.ok(&["gc"]);
    assert!(yard.ok(&["diff"]).contains("+one"));
    assert_eq!(yard.kept().len(), 1);
}

#[test]
fn a_driver_that_shows_the_workspace_by_the_file_system_refuses() {
    let world = crate::world::World::new();
    let output = world
        .run_with(&["--driver=native", super::OVER_LINK], &["true"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Where it is refused as a whole, it says that instead.
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("send the workspace over the link") || said.contains("refused"),
        "{said}"
    );
}
