//! Bombs and floods: the limit holds, the host answers, the cause is named.

use std::time::{Duration, Instant};

use serde_json::Value;
use stockade_conformance::{Behaviour, ControlKind, Finished, Verdict, World, ensure, fail, skip};

use crate::policy::can_enforce;

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "RS02",
        "a memory bomb is killed at the limit, and the cause is told",
        memory_bomb,
    )
    .needs(&[ControlKind::Memory]),
    Behaviour::test(
        "RS02-told",
        "a child that was killed at the limit is told: after the run, by `exec`, `inspect` and the log",
        child_is_told,
    )
    .needs(&[ControlKind::Memory]),
    Behaviour::test(
        "RS02-tiny",
        "limits that are too small for anything are told as such",
        tiny_limits,
    )
    .needs(&[ControlKind::Memory, ControlKind::Pids])
    .small(),
    Behaviour::test(
        "RS02-child",
        "a child that is killed at the limit does not end its parent",
        child_out_of_memory,
    )
    .needs(&[ControlKind::Memory]),
    Behaviour::test("RS05", "open files end at a limit for each process", many_files),
    Behaviour::test(
        "RS07",
        "thousands of files are written, listed and removed",
        many_inodes,
    )
    .small(),
    Behaviour::test("RS08", "a huge file without content is listed at once", sparse),
    Behaviour::test(
        "RS09-slow",
        "output that nobody reads holds the command back, and the supervisor stays small",
        slow_reader,
    ),
    Behaviour::test("RS14", "a crash leaves no core file", no_core),
    Behaviour::test(
        "R7",
        "another sandbox starts and ends while bombs go off",
        neighbour,
    )
    .small(),
];

fn load(world: &World, flags: &[&str], words: &[&str]) -> Verdict<Finished> {
    let words: Vec<String> = std::iter::once("load")
        .chain(words.iter().copied())
        .map(str::to_owned)
        .collect();
    world.sandbox().flags(flags).attack(&words)
}

/// What the payload got, by its own words.
fn got(finished: &Finished) -> Verdict<u64> {
    let line = finished.stderr.lines().find_map(|line| line.strip_prefix("GOT "));
    match line.and_then(|line| line.split(' ').next()?.parse().ok()) {
        Some(count) => Ok(count),
        None => fail(format!(
            "the load did not run to its end: exit {}: {}",
            finished.code,
            finished.all()
        )),
    }
}

fn needs(world: &World, control: &str) -> Verdict {
    if can_enforce(world, control)? {
        return Ok(());
    }
    skip(format!(
        "a limit on {control} cannot be enforced here; that this is told is checked by policy-require"
    ))
}

const BOMB: &str = "402653184";

fn memory_bomb(world: &World) -> Verdict {
    needs(world, "memory")?;
    let finished = load(world, &["--memory", "64M"], &["memory", BOMB])?.expect(137)?;
    ensure!(finished.cause() == "out-of-memory", "cause {}", finished.cause());
    let kills = finished
        .ended()
        .and_then(|event| event["usage"]["oom_kills"].as_u64());
    ensure!(kills >= Some(1), "oom_kills {kills:?}");
    finished.complains(&["out of memory", "64 MiB", "--memory"])?;
    // The control: without the limit the same load runs to its end.
    let free = load(world, &["--memory", "none"], &["memory", BOMB])?.expect(0)?;
    ensure!(got(&free)? >= 402_653_184, "the control got {}", got(&free)?);
    Ok(())
}

fn tiny_limits(world: &World) -> Verdict {
    needs(world, "memory")?;
    let finished = world.sandbox().flags(&["--memory", "4K"]).run(&["true"])?;
    finished.expect(125)?.complains(&["memory", "--memory"])?;
    needs(world, "pids")?;
    let finished = world.sandbox().flags(&["--pids", "1"]).run(&["true"])?;
    finished
        .expect(125)?
        .complains(&["processes", "--pids"])
        .map(drop)
}

fn child_out_of_memory(world: &World) -> Verdict {
    needs(world, "memory")?;
    let payload = world.payload_inside();
    let script = r#""$0" load memory 402653184; echo survived $?; exit 3"#;
    let finished = world
        .sandbox()
        .flags(&["--memory", "64M"])
        .run(&["sh", "-c", script, &payload])?
        .expect(3)?;
    ensure!(
        finished.text().contains("survived 137") && finished.cause() == "code",
        "{} {}",
        finished.cause(),
        finished.all()
    );
    Ok(())
}

const WITH_A_CHILD: &str = r#""$0" load memory 402653184; exit 3"#;

fn child_is_told(world: &World) -> Verdict {
    needs(world, "memory")?;
    let payload = world.payload_inside();
    let tight = || world.sandbox().flags(&["--memory", "64M", "--name", "one"]);
    let finished = tight()
        .flags(&["--keep"])
        .run(&["sh", "-c", WITH_A_CHILD, &payload])?
        .expect(3)?;
    finished.complains(&["exit 3 · 1 process killed at the memory limit (64 MiB): raise with --memory"])?;
    let told = json(world, &["inspect", "--json", "one"])?;
    ensure!(told["oom_kills"] == 1, "{told}");
    let text = world.stockade(&["inspect", "one"])?.expect(0)?.text();
    ensure!(text.contains("1 process at the memory limit"), "{text}");
    let logged = world
        .stockade(&["audit", "show", "--json", "--kind", "limit-hit", "one"])?
        .expect(0)?;
    let logged: Value = serde_json::from_str(logged.text().trim())?;
    ensure!(logged["event"]["killed"] == 1, "{logged}");
    world.stockade(&["rm", "one"])?.expect(0)?;
    // A further command tells of its own time.
    tight().flags(&["-q", "-d"]).run(&["sleep", "1000"])?.expect(0)?;
    let further =
        |flag: &str, script: &str| world.stockade(&["exec", flag, "one", "sh", "-c", script, &payload]);
    let counted = |script: &str| -> Verdict<Value> {
        let finished = further("--json", script)?;
        // Before it stands what the shell says of its child.
        Ok(serde_json::from_str(
            finished.stderr.lines().last().unwrap_or_default(),
        )?)
    };
    ensure!(
        counted(WITH_A_CHILD)?["oom_kills"] == 1,
        "the kill is not counted"
    );
    let without = counted("exit 3")?;
    ensure!(without["oom_kills"] == 0 && without["code"] == 3, "{without}");
    further("--no-tty", WITH_A_CHILD)?
        .expect(3)?
        .complains(&["1 process killed at the memory limit: raise with --memory"])?;
    let living = json(world, &["inspect", "--json", "one"])?;
    ensure!(
        living["oom_kills"] == 2 && living["state"] == "running",
        "{living}"
    );
    world.stockade(&["rm", "-f", "one"])?.expect(0)?;
    Ok(())
}

fn json(world: &World, arguments: &[&str]) -> Verdict<Value> {
    Ok(serde_json::from_str(
        &world.stockade(arguments)?.expect(0)?.text(),
    )?)
}

fn many_files(world: &World) -> Verdict {
    let count = got(&load(world, &[], &["fds", "3000000"])?)?;
    ensure!(count < 2_000_000, "{count} open files");
    std::fs::read("/proc/self/stat")?;
    Ok(())
}

fn many_inodes(world: &World) -> Verdict {
    let finished = load(world, &["--name", "many"], &["inodes", "20000"])?.expect(0)?;
    ensure!(got(&finished)? == 20_000, "{} files", got(&finished)?);
    let text = world.stockade(&["changes", "many"])?.expect(0)?.text();
    ensure!(text.lines().count() > 1000, "only {} lines", text.lines().count());
    world.stockade(&["rm", "many"])?.expect(0).map(drop)
}

fn sparse(world: &World) -> Verdict {
    let finished = world
        .sandbox()
        .flags(&["--name", "sparse"])
        .run(&["truncate", "-s", "4T", "huge"])?
        .expect(0)?;
    ensure!(finished.took < Duration::from_secs(30), "{:?}", finished.took);
    let text = world.stockade(&["changes", "sparse"])?.expect(0)?.text();
    ensure!(text.contains("huge"), "{text}");
    Ok(())
}

fn slow_reader(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let (mut command, _) =
        world
            .sandbox()
            .flags(&["-q"])
            .prepare(&[payload.as_str(), "load", "output", "1073741824"]);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    std::thread::sleep(Duration::from_millis(1500));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    let ended = child.try_wait()?;
    drop(child.stdout.take());
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > Duration::from_secs(20) {
            stockade_conformance::host::kill_tree(child.id());
            return fail("it does not end when its reader has gone");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(ended.is_none(), "it ended before anybody read: {ended:?}");
    ensure!(
        peak.is_some_and(|kib| kib < 64 << 10),
        "the supervisor grew to {peak:?} KiB"
    );
    Ok(())
}

fn no_core(world: &World) -> Verdict {
    world.shell("ulimit -S -c")?.expect_text("0")?;
    world
        .sandbox()
        .attack(&["do".into(), "signal".into(), "11".into()])?
        .expect(139)
        .map(drop)
}

fn neighbour(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let bomb = r#"while :; do "$0" load fork 150; "$0" load output 1000000; done >/dev/null 2>&1"#;
    let flags: &[&str] = if can_enforce(world, "pids")? {
        &["--pids", "200"]
    } else {
        &[]
    };
    let mut running = world
        .sandbox()
        .flags(flags)
        .start_open(&["sh", "-c", bomb, &payload])?;
    running.until_started()?;
    let begun = Instant::now();
    for _ in 0..5 {
        world.run(&["true"])?.expect(0)?;
    }
    ensure!(
        begun.elapsed() < Duration::from_secs(40),
        "five runs took {:?}",
        begun.elapsed()
    );
    running.signal(rustix::process::Signal::TERM)?;
    ensure!(running.wait()?.code != 0, "the bomb ended by itself");
    Ok(())
}
