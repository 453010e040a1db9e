//! What goes wrong around them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::pause::skip;
use super::{Yard, eventually, in_namespace, lives};
use crate::pty::Terminal;

/// True if there is a control group of a sandbox anywhere.
fn has_group(below: &Path, id: &str) -> bool {
    let Ok(entries) = fs::read_dir(below) else {
        return false;
    };
    let directories = entries.filter_map(Result::ok).filter(|entry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| kind.is_dir())
    });
    directories
        .map(|entry| entry.path())
        .any(|path| path.to_string_lossy().contains(id) || has_group(&path, id))
}

/// Starts one, has what lies at `below` its state directory removed (`ID` stands for it), and expects
/// that it ends, and that nothing of it is left.
fn ends_without(below: &str) {
    const GROUPS: &str = "/sys/fs/cgroup";
    let yard = Yard::new();
    yard.detach(&[], "echo kept > file; echo up; exec sleep 1000");
    yard.until_logged("up");
    let inside = yard.ok(&["exec", "box", "--", "readlink", "/proc/self/ns/pid"]);
    let id = yard.inspect()["id"].as_str().expect("an id").to_owned();
    let supervisor = yard.supervisor().as_raw_pid();
    let had_group = has_group(Path::new(GROUPS), &id);
    // Positive control: it lives, and nothing but what follows ends it.
    assert!(in_namespace(inside.trim()));
    let removed = yard.path("state").join(below.replace("ID", &id));
    // It may be writing there while it ends.
    eventually("an empty place", || {
        // The kernel makes a directory for each overlay that nobody may look into.
        let remove = "chmod -R u+rwX \"$0\"; rm -rf \"$0\"";
        let _ = Command::new("sh").args(["-c", remove]).arg(&removed).output();
        !removed.exists()
    });
    eventually("no process of it", || !in_namespace(inside.trim()));
    eventually("no supervisor", || {
        !lives(Path::new(&format!("/proc/{supervisor}")))
    });
    assert!(!removed.exists(), "it was made again");
    assert!(!has_group(Path::new(GROUPS), &id), "of {had_group}");
    assert_eq!(yard.ok(&["ls", "-q"]), "");
    // The name is free again.
    yard.detach(&[], "exec sleep 1000");
    assert_eq!(yard.state(), "running");
}

#[test]
fn one_whose_record_is_removed_ends_and_leaves_nothing() {
    ends_without("stockade/sandboxes/ID");
}

#[test]
fn one_whose_status_alone_is_removed_ends_too() {
    ends_without("stockade/sandboxes/ID/status.json");
}

#[test]
fn one_whose_state_directory_is_removed_ends_and_leaves_nothing() {
    ends_without("stockade");
}

#[test]
fn what_it_changed_is_kept_when_only_its_record_is_removed() {
    let yard = Yard::new();
    yard.detach(&[], "echo kept > file; echo up; exec sleep 1000");
    yard.until_logged("up");
    let supervisor = yard.supervisor().as_raw_pid();
    let id = yard.inspect()["id"].as_str().expect("an id").to_owned();
    fs::remove_dir_all(yard.path("state/stockade/sandboxes").join(id)).expect("it is there");
    eventually("no supervisor", || {
        !lives(Path::new(&format!("/proc/{supervisor}")))
    });
    assert_eq!(yard.ok(&["diff", "--name-only"]), "file\n");
    let shown = yard.ok(&["audit", "show", "--last"]);
    assert!(
        shown.contains("its record in the state directory was removed"),
        "{shown}"
    );
}

#[test]
fn a_run_at_a_terminal_ends_without_its_record_too_and_says_why() {
    let yard = Yard::new();
    let run = yard.run_with(&["--name", "box"], &["sh", "-c", "echo up; exec sleep 1000"]);
    let mut terminal = Terminal::start(&run);
    terminal.expect("up");
    let sandboxes = yard.path("state/stockade/sandboxes");
    // It begins to watch when others can reach it.
    eventually("somebody to speak to", || {
        yard.call(&["exec", "box", "true"]).status.success()
    });
    let id = yard.inspect()["id"].as_str().expect("an id").to_owned();
    fs::remove_dir_all(sandboxes.join(id)).expect("it is there");
    terminal.expect("its record in the state directory was removed");
    assert_eq!(terminal.end(), 137);
}

#[test]
fn the_record_names_the_program_that_started_a_detached_command() {
    let yard = Yard::new();
    yard.detach(&[], "exec sleep 1000");
    let shown = yard.ok(&["audit", "show", "box", "--kind", "exec-started", "--json"]);
    let record: Value = serde_json::from_str(shown.lines().next().expect("a line")).expect("JSON");
    let by = &record["event"]["by"];
    assert_eq!((&by["way"], &by["program"]), (&"run".into(), &"stockade".into()));
    let supervisor = yard.supervisor().as_raw_pid();
    let name = fs::read_to_string(format!("/proc/{supervisor}/comm")).expect("it lives");
    assert_eq!(name, "stockade\n");
}

#[test]
fn attaching_to_what_is_gone_is_refused_with_what_to_do() {
    let yard = Yard::new();
    assert!(yard.refused(&["attach", "box"]).contains("stockade ls"));
    yard.detach(&[], "echo said; exit 7");
    yard.until_state("ended");
    let said = yard.refused(&["attach", "box"]);
    assert!(
        said.contains("it has ended") && said.contains("stockade logs box"),
        "{said}"
    );
    yard.ok(&["rm", "box"]);
    yard.detach(&[], "exec sleep 1000");
    kill_process(yard.supervisor(), Signal::KILL).expect("it is ours");
    yard.until_state("lost");
    for command in ["attach", "pause"] {
        assert!(
            yard.refused(&[command, "box"]).contains("it has ended"),
            "{command}"
        );
    }
}

#[test]
fn one_that_ends_while_somebody_is_attached_tells_how() {
    let yard = Yard::new();
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    let mut terminal = Terminal::start(&yard.stockade(&["attach", "--from", "0", "box"]));
    terminal.expect("up");
    yard.ok(&["stop", "--grace", "0s", "box"]);
    assert_eq!(terminal.end(), 137);
    // A supervisor that is killed has no time to tell, and nobody is left hanging.
    yard.ok(&["rm", "box"]);
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    let mut terminal = Terminal::start(&yard.stockade(&["attach", "--from", "0", "box"]));
    terminal.expect("up");
    kill_process(yard.supervisor(), Signal::KILL).expect("it is ours");
    assert_eq!(terminal.end(), 125);
}

#[test]
fn a_supervisor_that_does_not_answer_is_told_and_holds_nobody_up() {
    let yard = Yard::new();
    yard.detach(&[], "echo up; exec sleep 1000");
    yard.until_logged("up");
    let supervisor = yard.supervisor();
    kill_process(supervisor, Signal::STOP).expect("it is ours");
    let said = yard.refused(&["stop", "box"]);
    let remedies = ["kill -CONT", "kill -KILL"].map(|signal| format!("{signal} {}", supervisor.as_raw_pid()));
    assert!(said.contains("is stopped"), "{said}");
    assert!(remedies.iter().all(|remedy| said.contains(remedy)), "{said}");
    // What reads files alone needs no answer.
    assert_eq!(yard.ok(&["ls", "-q"]), "box\n");
    assert_eq!(yard.ok(&["logs", "box"]), "up\n");
    kill_process(supervisor, Signal::CONT).expect("it is ours");
    assert_eq!(yard.ok(&["exec", "box", "--", "echo", "alive"]), "alive\n");
}

/// The clocks of all timers that a process holds, as `timerfd_create` numbers them.
fn clocks(process: i32) -> Vec<String> {
    let held = fs::read_dir(format!("/proc/{process}/fdinfo")).expect("it lives");
    let texts = held.filter_map(|one| fs::read_to_string(one.ok()?.path()).ok());
    let lines: Vec<String> = texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let clock = |line: &String| Some(line.strip_prefix("clockid:")?.trim().to_owned());
    lines.iter().filter_map(clock).collect()
}

#[test]
fn its_times_count_on_a_clock_that_nobody_sets() {
    const BOOT_TIME: &str = "7";
    let yard = Yard::new();
    yard.detach(&[], "exec sleep 1000");
    let without = clocks(yard.supervisor().as_raw_pid());
    yard.ok(&["rm", "-f", "box"]);
    yard.detach(&["--ttl", "1h", "--idle", "1h"], "exec sleep 1000");
    let clocks = clocks(yard.supervisor().as_raw_pid());
    assert_eq!(
        (without.len(), clocks.as_slice()),
        (0, &[BOOT_TIME; 2].map(str::to_owned)[..])
    );
}

#[test]
fn on_a_full_disk_it_goes_on_and_tells_what_is_missing() {
    if !rustix::process::geteuid().is_root() {
        return skip("full-disk", "mounting a small disk needs root");
    }
    let yard = Yard::new();
    let script = "mount -t tmpfs -o size=2m none \"$XDG_STATE_HOME\" || exit 9
        \"$0\" run -q -d --name box -- sh -c 'head -c 4000000 /dev/zero; touch done; exec sleep 1000' || exit 8
        until \"$0\" exec box -- test -e done; do sleep 0.1; done
        \"$0\" exec box -- echo alive; \"$0\" stop --grace 0s box; \"$0\" inspect --json box";
    let mut command = yard.stockade(&[]);
    let variables: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("timeout");
    let output = command
        .args([
            "300",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
        ])
        .arg(yard.program())
        .env_clear()
        .envs(variables)
        .current_dir(yard.project())
        .output()
        .expect("unshare of util-linux");
    let (said, complaint) = (yard.tidy(&output.stdout), yard.tidy(&output.stderr));
    assert!(said.contains("alive\n"), "{said} {complaint}");
    assert!(
        said.contains("No space left on device") && said.contains("\"ended\""),
        "{said}"
    );
}
