//! Old kernels, tight hosts and full disks, played by failing system calls: a clear error and
//! nothing left, or a sandbox that is as confined as ever. Never something in between.

use std::collections::BTreeSet;
use std::time::Duration;

use stockade_conformance::{
    Ability, Behaviour, Finished, Stop, Verdict, World, ensure, fail, host, program, skip,
};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "R8-missing",
        "system calls that an old kernel does not have",
        missing_calls,
    )
    .simulated()
    .small(),
    Behaviour::test(
        "R8-refused",
        "system calls that the host's rules refuse",
        refused_calls,
    )
    .simulated()
    .small(),
    Behaviour::test(
        "R8-memory",
        "system calls that find no memory, at their first three uses",
        no_memory,
    )
    .simulated()
    .small(),
    Behaviour::test(
        "R8-lies",
        "system calls that say yes and do nothing are noticed",
        lying_calls,
    )
    .simulated()
    .small(),
    Behaviour::test("R8-descriptors", "few descriptors", few_descriptors).small(),
    Behaviour::test("R8-disk", "a full disk below the state directory", full_disk).small(),
    Behaviour::test(
        "R8-record",
        "what cannot be recorded is not started, and a run whose end cannot be recorded is no success",
        unrecorded,
    )
    .uses(&[Ability::InPlace])
    .small(),
    Behaviour::test(
        "R8-state",
        "a state directory that cannot be written, or is a file",
        bad_state,
    )
    .small(),
    Behaviour::test("R8-home", "no home directory, no variables at all", no_variables).small(),
    Behaviour::test("R8-directory", "a current directory that is gone", no_directory).small(),
    Behaviour::test("R8-streams", "closed standard streams", closed_streams).small(),
];

/// What the set-up needs of the kernel.
const SET_UP: [&str; 21] = [
    "clone3",
    "openat2",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "pivot_root",
    "mount",
    "umount2",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "seccomp",
    "capset",
    "close_range",
    "unshare",
    "setresuid",
    "setsid",
    "sethostname",
];

fn inject(world: &World, what: &str) -> Verdict<Finished> {
    if program::find("strace").is_none() {
        return skip("strace is missing");
    }
    let log = world.path("outside/strace").display().to_string();
    let launcher = [
        "strace",
        "-f",
        "-qq",
        "-o",
        &log,
        "-e",
        &format!("trace={}", what.split(':').next().unwrap_or_default()),
        "-e",
        &format!("inject={what}"),
    ];
    let target = world.path("outside/target").display().to_string();
    let _ = std::fs::remove_file(world.path("outside/target/ran"));
    std::fs::create_dir_all(world.path("outside/target"))?;
    let sandbox = world
        .sandbox()
        .limit(Duration::from_secs(20))
        .launcher(&launcher)
        .flags(&["--rw", &target, "--rm"]);
    sandbox.run(&["sh", "-c", "echo x > $0/ran", &target])
}

/// Either refused as a whole, or whole.
fn whole_or_nothing(world: &World, what: &str) -> Verdict {
    let finished = inject(world, what).map_err(|stop| stop.about(what))?;
    let ran = world.path("outside/target/ran").exists();
    let started = finished.events.iter().find(|event| event["event"] == "started");
    match (finished.code, started) {
        (0, Some(event)) => {
            ensure!(event["verified"] == event["controls"], "{what}: {event}");
            ensure!(ran, "{what}: exit 0, and the command did not run");
        }
        (125, _) => {
            ensure!(!ran, "{what}: exit 125, and the command ran: {}", finished.stderr);
            ensure!(
                finished.stderr.trim().len() > 20,
                "{what}: no error is told: {:?}",
                finished.stderr
            );
            ensure!(
                !finished.stderr.contains("panicked"),
                "{what}: {}",
                finished.stderr
            );
        }
        (code, _) => return fail(format!("{what}: exit {code}, ran: {ran}: {}", finished.all())),
    }
    nothing_left(world, what)
}

fn nothing_left(world: &World, what: &str) -> Verdict {
    let left: BTreeSet<_> = host::mentioning(&world.path("").display().to_string());
    host::until_gone(&left, Duration::from_secs(3)).map_err(|stop| stop.about(what))?;
    let list = world.stockade(&["ls", "--json"])?.expect(0)?.text();
    ensure!(list.trim() == "[]", "{what}: left behind: {list}");
    Ok(())
}

fn each(world: &World, calls: &[&str], errors: &[&str], whens: &[&str]) -> Verdict {
    let mut wrong = Vec::new();
    for call in calls {
        for error in errors {
            for when in whens {
                if let Err(stop) = whole_or_nothing(world, &format!("{call}:{error}{when}")) {
                    match stop {
                        Stop::Failed(why) | Stop::Broken(why) => wrong.push(why),
                        skipped @ Stop::Skipped(_) => return Err(skipped),
                    }
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        fail(wrong.join("\n--\n"))
    }
}

fn missing_calls(world: &World) -> Verdict {
    each(world, &SET_UP, &["error=ENOSYS"], &[""])
}

fn refused_calls(world: &World) -> Verdict {
    each(world, &SET_UP, &["error=EPERM"], &[""])?;
    each(
        world,
        &["prctl", "setgroups", "setresgid", "pidfd_send_signal"],
        &["error=EPERM"],
        &[""],
    )
}

fn no_memory(world: &World) -> Verdict {
    each(
        world,
        &[
            "clone3",
            "open_tree",
            "fsmount",
            "fsconfig",
            "move_mount",
            "socketpair",
            "sendmsg",
        ],
        &["error=ENOMEM"],
        &[":when=1", ":when=2", ":when=3"],
    )
}

/// A wall that is only said to stand must be found missing by the evidence.
fn lying_calls(world: &World) -> Verdict {
    each(
        world,
        &[
            "capset",
            "seccomp",
            "landlock_restrict_self",
            "mount_setattr",
            "unshare",
            "sethostname",
            "umount2",
            "pivot_root",
            "setsid",
        ],
        &["retval=0"],
        &[""],
    )
}

fn few_descriptors(world: &World) -> Verdict {
    let payload = world.suite().payload().display().to_string();
    let nofile = "7";
    let mut succeeded = false;
    for limit in ["6", "10", "14", "18", "24", "32", "64"] {
        let launcher = [payload.as_str(), "launch", "--limit", nofile, limit, "--"];
        let finished = world
            .sandbox()
            .launcher(&launcher)
            .flags(&["--rm"])
            .run(&["echo", "ran"])?;
        match finished.code {
            0 => succeeded = finished.text() == "ran\n",
            // The loader itself may not get as far as our own error.
            125..=127 => ensure!(
                finished.stderr.len() > 10 && !finished.text().contains("ran"),
                "{limit}: {}",
                finished.all()
            ),
            code => return fail(format!("{limit} descriptors: exit {code}: {}", finished.all())),
        }
        nothing_left(world, limit)?;
    }
    ensure!(succeeded, "64 descriptors are not enough");
    Ok(())
}

fn full_disk(world: &World) -> Verdict {
    if !host::is_root() {
        return skip("a small disk for the state directory needs root");
    }
    let state = world.path("state").display().to_string();
    for (size, fill) in [("64k", 60), ("64k", 64), ("16k", 0), ("4k", 4)] {
        let script = format!(
            "mount -t tmpfs -o size={size} none \"$0\" && head -c {fill}k /dev/zero > \"$0/filler\" 2>/dev/null; exec \"$@\""
        );
        let launcher = ["unshare", "--mount", "sh", "-c", &script, &state];
        let finished = world
            .sandbox()
            .launcher(&launcher)
            .shell("echo ran; echo more > file")?;
        match finished.code {
            0 => ensure!(finished.text() == "ran\n", "{size}: {}", finished.all()),
            125 => {
                ensure!(
                    !finished.text().contains("ran")
                        || finished.stderr.contains("record of this run is incomplete"),
                    "{size}: the command ran: {}",
                    finished.all()
                );
                finished.complains(&["space", "fix:", "XDG_STATE_HOME"])?;
            }
            // Writing inside may find no room either.
            _ => ensure!(
                finished.text() == "ran\n",
                "{size}: exit {}: {}",
                finished.code,
                finished.all()
            ),
        }
        nothing_left(world, size)?;
    }
    Ok(())
}

/// Commands are started in a sandbox until its state directory has no room for one more record.
fn unrecorded(world: &World) -> Verdict {
    if !host::is_root() {
        return skip("a small disk for the state directory needs root");
    }
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=512k none "$1" || exit 1
        "$0" run $RUN_FLAGS --name full --rw "$2" --status-fd 3 -- sh -c '
            head -c 1M /dev/zero > filler 2>/dev/null
            touch "$0/ready"; until test -e "$0/go"; do sleep 0.02; done' "$2" 3> "$2/events" &
        until test -e "$2/ready"; do kill -0 $! || exit 2; sleep 0.02; done
        count=0 code=0
        while test $code = 0; do
            test $count -lt 100 || exit 3
            count=$((count + 1)); "$0" exec full -- touch "$2/started-$count"; code=$?
        done
        echo "refused $count: $code"; touch "$2/go"; wait $!; echo "ended: $?""#;
    let state = world.path("state").display().to_string();
    let outside = world.path("outside").display().to_string();
    let mut command = world.command(std::path::Path::new("unshare"));
    command
        .args(["--mount", "sh", "-c", SCRIPT])
        .arg(world.suite().program())
        .args([&state, &outside]);
    let finished = stockade_conformance::run::finish(command, Vec::new(), None)?.expect(0)?;
    let told = finished.text();
    let refused = told
        .lines()
        .find_map(|line| line.strip_prefix("refused ")?.strip_suffix(": 125"));
    let Some(refused) = refused else {
        return fail(format!("none was refused: {}", finished.all()));
    };
    ensure!(
        refused == "1" || world.path("outside/started-1").exists(),
        "a recorded one did not run: {}",
        finished.all()
    );
    ensure!(
        !world.path(&format!("outside/started-{refused}")).exists(),
        "the refused one ran: {}",
        finished.all()
    );
    ensure!(told.contains("ended: 125"), "{}", finished.all());
    finished.complains(&[
        "incomplete",
        "the command itself: exit 0",
        &state,
        "space",
        "fix:",
    ])?;
    let events = std::fs::read_to_string(world.path("outside/events"))?;
    ensure!(
        events.contains(r#""recorded":false"#) && events.contains(r#""code":125"#),
        "{events}"
    );
    Ok(())
}

fn bad_state(world: &World) -> Verdict {
    let file = world.file("outside/a-file", "")?;
    for value in [
        file.display().to_string(),
        "/proc/nowhere".to_owned(),
        "/dev/null/state".to_owned(),
        "relative/state".to_owned(),
    ] {
        let sandbox = world.sandbox().variable("XDG_STATE_HOME", &value);
        let finished = sandbox.run(&["echo", "ran"])?;
        // A relative value is to be ignored, by the rules of that variable.
        let ignored = value.starts_with("relative") && finished.code == 0;
        ensure!(
            ignored || finished.code == 125,
            "{value}: exit {}: {}",
            finished.code,
            finished.all()
        );
        ensure!(
            ignored || finished.stderr.contains(&value),
            "{value} is not named: {}",
            finished.stderr
        );
        ensure!(
            !world.path("work/relative").exists(),
            "a relative state directory was made in the workspace"
        );
    }
    Ok(())
}

fn no_variables(world: &World) -> Verdict {
    let program = world.suite().program().display().to_string();
    let mut command = world.command(std::path::Path::new(&program));
    command
        .env_clear()
        .args(["run", "--rm"])
        .args(world.flags())
        .args(["--", "/bin/echo", "ran"]);
    let finished = stockade_conformance::run::finish(command, Vec::new(), None)?;
    match finished.code {
        0 => ensure!(finished.text() == "ran\n", "{}", finished.all()),
        125 => ensure!(finished.stderr.contains("HOME"), "{}", finished.all()),
        code => return fail(format!("exit {code}: {}", finished.all())),
    }
    Ok(())
}

fn no_directory(world: &World) -> Verdict {
    let script = r#"mkdir gone && cd gone && rmdir ../gone && exec "$0" run $RUN_FLAGS -- echo ran"#;
    let mut command = world.command(std::path::Path::new("/bin/sh"));
    command.args(["-c", script]).arg(world.suite().program());
    let finished = stockade_conformance::run::finish(command, Vec::new(), None)?.expect(125)?;
    ensure!(
        !finished.text().contains("ran") && finished.stderr.len() > 20,
        "{}",
        finished.all()
    );
    Ok(())
}

/// Else the next descriptor takes the number, and what the command writes goes there.
fn closed_streams(world: &World) -> Verdict {
    let cases = [
        ("<&-", "out\n", "err\n"),
        (">&-", "", "err\n"),
        ("2>&-", "out\n", ""),
        ("<&- >&- 2>&-", "", ""),
    ];
    for (closed, out, err) in cases {
        let script = format!(
            r#"exec {closed}; exec "$0" run $RUN_FLAGS --rm -q -- sh -c 'cat; echo out; echo err >&2; exit 5'"#
        );
        let mut command = world.command(std::path::Path::new("/bin/sh"));
        command.args(["-c", &script]).arg(world.suite().program());
        let finished = stockade_conformance::run::finish(command, Vec::new(), None)?
            .expect(5)
            .map_err(|stop| stop.about(closed))?;
        ensure!(
            finished.text() == out && finished.stderr == err,
            "{closed}: {:?} {:?}",
            finished.text(),
            finished.stderr
        );
        world
            .stockade(&["ls", "--json"])?
            .expect_text("[]")
            .map_err(|stop| stop.about(closed))?;
    }
    Ok(())
}
