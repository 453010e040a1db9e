//! How they begin, live and end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::{Yard, eventually, in_namespace};
use crate::pty::Terminal;

#[test]
fn run_returns_when_it_runs_and_the_sandbox_goes_on() {
    let yard = Yard::new();
    yard.detach(&[], "echo out; echo err >&2; exec sleep 1000");
    yard.until_logged("out");
    let output = yard.call(&["logs", "box"]);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (said(&output.stdout), said(&output.stderr)),
        ("out\n".into(), "err\n".into())
    );
    assert_eq!(yard.state(), "running");
    assert_eq!(yard.ok(&["exec", "box", "--", "echo", "hi"]), "hi\n");
    yard.ok(&["stop", "--grace", "100ms", "box"]);
    let ended = yard.inspect();
    assert_eq!(
        (&ended["state"], &ended["why"]),
        (&"ended".into(), &"stockade stop".into())
    );
    yard.ok(&["rm", "box"]);
    assert_eq!(yard.ok(&["ls", "-q"]), "");
}

/// The clocks of a process's timers, as the kernel numbers them.
fn timer_clocks(pid: rustix::process::Pid) -> Vec<i32> {
    let folder = format!("/proc/{}/fdinfo", pid.as_raw_nonzero());
    let files = std::fs::read_dir(folder).expect("its descriptors").flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let clock = |text: String| {
        text.lines()
            .find_map(|line| line.strip_prefix("clockid: ")?.trim().parse().ok())
    };
    texts.filter_map(clock).collect()
}

#[test]
fn its_lifetimes_are_alarms_of_a_clock_that_nobody_can_set() {
    let boot_time = rustix::time::ClockId::Boottime as i32;
    let yard = Yard::new();
    yard.detach(&["--ttl", "1h", "--idle", "1h"], "exec sleep 1000");
    assert_eq!(timer_clocks(yard.supervisor()), [boot_time, boot_time]);
    yard.ok(&["rm", "-f", "box"]);
    // The control: without lifetimes there are none.
    yard.detach(&[], "exec sleep 1000");
    assert_eq!(timer_clocks(yard.supervisor()), [0_i32; 0]);
}

#[test]
fn how_it_ended_and_what_it_wrote_stay_until_removed() {
    let yard = Yard::new();
    yard.detach(&[], "echo done; exit 7");
    yard.until_state("ended");
    assert_eq!(
        yard.inspect()["exit"],
        serde_json::json!({"cause": "code", "value": 7})
    );
    assert_eq!(yard.ok(&["logs", "box"]), "done\n");
    assert!(yard.ok(&["ls"]).contains("ended (7)"));
}

#[test]
fn with_rm_nothing_stays() {
    let yard = Yard::new();
    yard.detach(&["--rm"], "echo x > file");
    eventually("the end", || yard.ok(&["ls", "-q"]).is_empty());
    assert_eq!(yard.ok(&["changes", "--json"]).trim(), "[]");
}

#[test]
fn what_does_not_start_is_told_to_its_launcher_and_leaves_nothing() {
    let yard = Yard::new();
    let output = yard.call(&["run", "-d", "--", "no-such-command"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(yard.tidy(&output.stderr).contains("no-such-command"));
    let output = yard.call(&["run", "-d", "--", "/etc"]);
    assert_eq!(output.status.code(), Some(126));
    assert!(
        yard.refused(&["run", "-d", "-w", "/no/such", "--", "true"])
            .contains("/no/such")
    );
    assert_eq!(yard.ok(&["ls", "-q"]), "");
}

#[test]
fn two_supervisors_do_not_get_one_name() {
    let yard = Yard::new();
    yard.detach(&[], "exec sleep 1000");
    let said = yard.refused(&["run", "-d", "--name", "box", "--", "true"]);
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(yard.ok(&["ls", "-q"]), "box\n");
}

#[test]
fn it_survives_its_terminal() {
    let yard = Yard::new();
    let mut terminal = Terminal::start(&yard.stockade(&[
        "run",
        "-q",
        "-d",
        "--name",
        "box",
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ]));
    terminal.expect("box");
    assert_eq!(terminal.end(), 0);
    // Closing the terminal hangs up everything that belongs to it.
    drop(terminal);
    yard.until_logged("up");
    assert_eq!(yard.ok(&["exec", "box", "--", "echo", "alive"]), "alive\n");
}

#[test]
fn it_holds_nothing_that_its_launcher_waits_for() {
    let yard = Yard::new();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut shell = Command::new("bash");
    // The pipe is open in the launcher as standard error and as a further descriptor.
    shell.args([
        "-c",
        "exec 7>&2; \"$0\" run -q -d --name box -- sleep 1000",
        yard.program(),
    ]);
    let prepared = yard.stockade(&[]);
    for (name, value) in prepared.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .current_dir(yard.project())
        .stdout(Stdio::null())
        .stderr(writer);
    let status = shell.status().expect("it runs");
    drop(shell);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("the end of the pipe");
    assert!(status.success(), "{rest}");
    assert_eq!(yard.state(), "running");
}

#[test]
fn one_that_is_killed_takes_all_with_it_and_the_record_says_so() {
    let yard = Yard::new();
    yard.detach(&[], "echo kept > file; exec sleep 1000");
    let inside = yard.ok(&["exec", "box", "--", "sh", "-c", "readlink /proc/self/ns/pid"]);
    let supervisor = yard.supervisor();
    kill_process(supervisor, Signal::KILL).expect("it is ours");
    yard.until_state("lost");
    assert!(yard.ok(&["ls"]).contains("lost"));
    eventually("no process of it", || !in_namespace(inside.trim()));
    let said = yard.inspect();
    assert!(
        said["why"].as_str().expect("why").contains("was killed"),
        "{said}"
    );
    yard.ok(&["gc"]);
    let kept = yard.inspect();
    assert_eq!(kept["state"], "ended");
    assert!(
        kept["why"].as_str().expect("why").contains("was killed"),
        "{kept}"
    );
    yard.ok(&["rm", "box"]);
}

#[test]
fn create_makes_one_to_exec_into() {
    let yard = Yard::new();
    assert_eq!(yard.ok(&["create", "-q", "--name", "box"]), "box\n");
    assert_eq!(
        yard.ok(&["exec", "box", "--", "sh", "-c", "echo 1 > made; cat made"]),
        "1\n"
    );
    assert_eq!(yard.ok(&["exec", "box", "--", "cat", "made"]), "1\n");
    assert_eq!(yard.state(), "running");
    let made: Value = serde_json::from_str(&yard.ok(&["create", "-q", "--json"])).expect("JSON");
    assert_eq!(made["id"], made["sandbox"]);
    assert_eq!(made["verified"], made["controls"]);
}

#[test]
fn time_to_live_ends_it_and_the_record_says_so() {
    let yard = Yard::new();
    yard.detach(&["--ttl", "200ms"], "exec sleep 1000");
    yard.until_state("ended");
    let ended = yard.inspect();
    assert!(ended["why"].as_str().expect("why").contains("--ttl"), "{ended}");
    assert_eq!(ended["exit"]["cause"], "timed-out");
}

#[test]
fn idleness_ends_it_and_work_keeps_it() {
    let yard = Yard::new();
    yard.detach(&["--idle", "300ms"], "while :; do echo work; sleep 0.05; done");
    let busy = yard.ok(&["create", "-q", "--idle", "300ms", "--name", "attended"]);
    let mut attending = yard
        .stockade(&["exec", "attended", "--", "sleep", "1000"])
        .stdin(Stdio::null())
        .spawn()
        .expect("it runs");
    yard.ok(&["create", "-q", "--idle", "300ms", "--name", "idle"]);
    let of =
        |name: &str| -> Value { serde_json::from_str(&yard.ok(&["inspect", "--json", name])).expect("JSON") };
    eventually("the end of the idle one", || of("idle")["state"] == "ended");
    assert!(of("idle")["why"].as_str().expect("why").contains("--idle"));
    assert_eq!(
        (yard.state().as_str(), &of(busy.trim())["state"]),
        ("running", &"running".into())
    );
    attending.kill().expect("it is ours");
    attending.wait().expect("it ends");
    eventually("the end of what was left", || of("attended")["state"] == "ended");
}

#[test]
fn labels_find_sandboxes() {
    let yard = Yard::new();
    yard.ok(&[
        "create", "-q", "--name", "a", "--label", "team=red", "--label", "job=1",
    ]);
    yard.ok(&["create", "-q", "--name", "b", "--label", "team=blue"]);
    assert_eq!(yard.ok(&["ls", "-q", "--label", "team=red"]), "a\n");
    assert_eq!(yard.ok(&["ls", "-q", "--label", "team"]), "a\nb\n");
    assert_eq!(
        yard.ok(&["ls", "-q", "--label", "team=blue", "--label", "job"]),
        ""
    );
    let output = yard.call(&["create", "--label", "a b"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(yard.tidy(&output.stderr).contains("KEY=VALUE"));
}

#[test]
fn flags_of_a_long_life_need_detach() {
    let yard = Yard::new();
    let said = yard.refused(&["run", "--ttl", "1h", "--", "true"]);
    assert!(said.contains("--ttl") && said.contains("--detach"), "{said}");
}

#[test]
fn a_supervisor_with_nothing_to_do_does_nothing() {
    let yard = Yard::new();
    yard.ok(&["create", "-q", "--name", "box", "--ttl", "1h", "--idle", "1h"]);
    let supervisor = yard.supervisor().as_raw_pid();
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{supervisor}/status")).expect("it lives");
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.expect("a count").to_owned()
    };
    // The start and the question for its number are over when it sleeps again.
    let settled = || {
        let before = switches();
        std::thread::sleep(Duration::from_millis(1500));
        before == switches()
    };
    eventually("a supervisor that sleeps", settled);
}

#[test]
fn state_of_another_version_is_told_and_collected() {
    let yard = Yard::new();
    yard.ok(&["create", "-q", "--name", "box"]);
    let place = yard.path("state/stockade/sandboxes/0123456789ab");
    std::fs::create_dir(&place).expect("a directory");
    std::fs::write(
        place.join("status.json"),
        r#"{"version": 0, "id": "0123456789ab"}"#,
    )
    .expect("a file");
    let output = yard.call(&["ls", "-q"]);
    assert_eq!(output.stdout, b"box\n");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        yard.tidy(&output.stderr).contains("older Stockade"),
        "{}",
        yard.tidy(&output.stderr)
    );
    yard.call(&["gc"]);
    assert_eq!(yard.ok(&["ls", "-q"]), "box\n");
}

#[test]
fn a_launcher_that_is_gone_takes_its_sandbox_back() {
    let yard = Yard::new();
    let mut shim = yard
        .stockade(&["shim", "run", "-q", "-d", "--name", "box", "--", "sleep", "1000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(shim.stdout.take());
    shim.wait().expect("it ends");
    assert_ne!(yard.state(), "running");
}
