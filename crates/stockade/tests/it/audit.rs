//! The record of what happened, as its readers meet it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::detached::skip;
use crate::sandboxes::Live;
use crate::world::World;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(world: &World, arguments: &[&str]) -> Output {
    world.stockade(arguments).output().expect("it runs")
}

/// The only file of the record.
fn file(world: &World) -> PathBuf {
    let directory = world.path("state/stockade/audit");
    let mut files = directory.read_dir().expect("a directory");
    let file = files.next().expect("a file").expect("a name").path();
    assert!(files.next().is_none());
    file
}

#[test]
fn a_run_is_told_from_its_making_to_its_end() {
    let world = World::new();
    let run = world
        .run_with(&["-q", "--name", "first"], &["sh", "-c", "exit 3"])
        .status();
    assert_eq!(run.expect("it runs").code(), Some(3));
    let shown = done(&world, &["audit", "show", "first", "--json"]);
    let records: Vec<serde_json::Value> = out(&shown)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let kinds: Vec<&str> = records
        .iter()
        .filter_map(|record| record["event"]["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["created", "receipt", "exec-started", "exec-ended", "destroyed"]
    );
    let by = &records[2]["event"]["by"];
    assert_eq!((&by["way"], &by["program"]), (&"run".into(), &"stockade".into()));
    let last = done(&world, &["audit", "show", "--last", "--kind", "exec-ended"]);
    assert!(
        out(&last).trim_end().ends_with("exec-ended      [0] exit 3"),
        "{}",
        out(&last)
    );
}

#[test]
fn a_refusal_is_recorded_and_a_dry_run_is_not() {
    let world = World::new();
    for flags in [
        &["--dry-run", "--require", "own-kernel"][..],
        &["--require", "own-kernel"],
    ] {
        let refused = world
            .run_with(flags, &["tool", "--token", "hunter2"])
            .output()
            .expect("it runs");
        assert_eq!(refused.status.code(), Some(125));
    }
    let shown = out(&done(&world, &["audit", "show"]));
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(
        shown.contains("refused") && shown.contains("tool --token '[redacted]'"),
        "{shown}"
    );
}

#[test]
fn a_whole_record_is_told_from_an_edited_and_a_cut_one() {
    let world = World::new();
    for _ in 0..2 {
        assert!(
            world
                .run_with(&["-q"], &["true"])
                .status()
                .expect("it runs")
                .success()
        );
    }
    let whole = done(&world, &["audit", "verify"]);
    assert_eq!(whole.status.code(), Some(0));
    assert!(
        out(&whole).ends_with("10 lines of 2 sandboxes: every chain holds\n"),
        "{}",
        out(&whole)
    );
    let json: serde_json::Value =
        serde_json::from_slice(&done(&world, &["audit", "verify", "--json"]).stdout).expect("JSON");
    let heads: Vec<&str> = json["sandboxes"]
        .as_object()
        .expect("an object")
        .values()
        .filter_map(|chain| chain["head"].as_str())
        .collect();
    let file = file(&world);
    let text = std::fs::read_to_string(&file).expect("text");

    std::fs::write(&file, text.replacen("[\"true\"]", "[\"trve\"]", 1)).expect("a file");
    let edited = done(&world, &["audit", "verify", file.to_str().expect("UTF-8")]);
    assert_eq!(edited.status.code(), Some(1));
    assert!(out(&edited).contains("line 3: it was edited"), "{}", out(&edited));

    let cut: String = text.lines().take(9).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, cut).expect("a file");
    assert_eq!(
        done(&world, &["audit", "verify"]).status.code(),
        Some(0),
        "as documented"
    );
    let noted: Vec<&str> = heads.iter().flat_map(|head| ["--head", head]).collect();
    let missed = done(&world, &[&["audit", "verify"][..], &noted].concat());
    assert_eq!(missed.status.code(), Some(1));
    assert!(out(&missed).contains("which was noted"), "{}", out(&missed));
}

#[test]
fn another_reader_gets_the_same_lines() {
    let world = World::new();
    let script = format!("exec {} run -q --audit-fd 7 -- true 7>copy", world.program());
    let mut shell = world.host_shell();
    let status = shell.args(["-c", &script]).status().expect("it runs");
    assert!(status.success());
    let copy = std::fs::read_to_string(world.project().join("copy")).expect("text");
    assert_eq!(copy, std::fs::read_to_string(file(&world)).expect("text"));
}

/// Has a run speak to a daemon of ours in a /dev of its own, and prints what that got.
const WITH_A_SYSTEM_LOG: &str = r#"
dev="$1/dev"
mkdir "$dev" && mount -t tmpfs -o mode=755 none "$dev" && mkdir "$dev/pts" "$dev/shm" || exit 9
for name in null zero full random urandom tty; do
    touch "$dev/$name" && mount --bind "/dev/$name" "$dev/$name" || exit 9
done
mount --bind /dev/pts "$dev/pts" && ln -s pts/ptmx "$dev/ptmx" && ln -s /proc/self/fd "$dev/fd" || exit 9
mount --rbind "$dev" /dev || exit 9
exec python3 -c '
import socket, subprocess, sys, threading
daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
daemon.bind("/dev/log")
def hear():
    while message := daemon.recv(1 << 16):
        print(message.decode())
thread = threading.Thread(target=hear)
thread.start()
code = subprocess.run([sys.argv[1], "run", "-q", "--audit-syslog", "--", "true"]).returncode
# An empty message is the last one.
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"", "/dev/log")
thread.join()
sys.exit(code)
' "$0"
"#;

#[test]
fn the_system_log_gets_the_same_lines() {
    if !rustix::process::geteuid().is_root() {
        return skip("system-log", "a /dev of its own needs root");
    }
    let world = World::new();
    let prepared = world.stockade(&[]);
    let variables = prepared
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            WITH_A_SYSTEM_LOG,
        ])
        .args([world.program().as_ref(), world.path(".").as_os_str()])
        .env_clear()
        .envs(variables)
        .current_dir(world.project())
        .output()
        .expect("unshare of util-linux");
    assert!(output.status.success(), "{}", err(&output));
    let heard: Vec<String> = out(&output)
        .lines()
        .filter_map(|line| Some(line.split_once("]: ")?.1.to_owned()))
        .collect();
    let written = std::fs::read_to_string(file(&world)).expect("text");
    assert_eq!(heard, written.lines().collect::<Vec<_>>());
    assert!(out(&output).starts_with("<86>stockade["), "{}", out(&output));
}

#[test]
fn readers_that_cannot_be_had_refuse_the_run() {
    let world = World::new();
    let run = world
        .run_with(&["--audit-fd", "99"], &["touch", "made"])
        .output()
        .expect("it runs");
    assert_eq!(run.status.code(), Some(125));
    assert!(
        err(&run).contains("descriptor 99") && err(&run).contains("fix:"),
        "{}",
        err(&run)
    );
    let mistyped = done(&world, &["audit", "show", "--kind", "exit"]);
    assert_eq!(mistyped.status.code(), Some(125));
    assert!(err(&mistyped).contains("exec-ended"), "{}", err(&mistyped));
}

#[test]
fn a_record_that_cannot_be_written_refuses_the_run() {
    let world = World::new();
    assert!(
        world
            .run_with(&["-q"], &["true"])
            .status()
            .expect("it runs")
            .success()
    );
    let file = file(&world);
    std::fs::remove_file(&file).expect("a file");
    std::fs::create_dir(&file).expect("a directory");
    let run = world
        .run_with(&["--workspace-mode", "rw"], &["touch", "made"])
        .output()
        .expect("it runs");
    assert_eq!(run.status.code(), Some(125), "{}", err(&run));
    assert!(!world.project().join("made").exists());
    std::fs::remove_dir(&file).expect("a directory");
    let control = world
        .run_with(&["--workspace-mode", "rw"], &["touch", "made"])
        .status();
    assert!(control.expect("it runs").success() && world.project().join("made").exists());
}

#[test]
fn following_ends_with_the_sandbox() {
    let world = World::new();
    let live = Live::start(&world, "live", &[]);
    let mut follow = world.stockade(&["audit", "show", "live", "-f"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(follow.stdout.take().expect("a pipe")).lines();
    assert!(lines.next().expect("a line").expect("text").contains("created"));
    assert!(done(&world, &["exec", "live", "--", "true"]).status.success());
    assert!(done(&world, &["stop", "live"]).status.success());
    let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
    for words in [
        "exec-started    [1] true by user",
        "stopped         stockade stop",
        "destroyed",
    ] {
        assert!(rest.iter().any(|line| line.contains(words)), "{words}: {rest:#?}");
    }
    assert!(follow.wait().expect("it ends").success());
    drop(live);
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new();
    let none = done(&world, &["audit", "show", "--last"]);
    assert_eq!(none.status.code(), Some(125));
    assert!(err(&none).contains("nothing was run"), "{}", err(&none));
    let none = done(&world, &["audit", "verify", "nope"]);
    assert!(
        err(&none).contains("no sandbox in the audit log called nope"),
        "{}",
        err(&none)
    );
}
