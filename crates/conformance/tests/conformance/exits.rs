//! Exit codes and the six ways in which a run can end.

use std::os::unix::fs::PermissionsExt;

use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "run-exit-code",
        "the command's own exit code is passed on",
        own_code,
    ),
    Behaviour::test(
        "run-exit-signal",
        "a command that a signal ended gives 128 and its number",
        by_signal,
    ),
    Behaviour::test(
        "run-exit-timeout",
        "the time limit gives 124, and says which limit",
        time_limit,
    ),
    Behaviour::test(
        "run-exit-output",
        "too much output gives 137, and nothing beyond the limit is passed on",
        output_limit,
    ),
    Behaviour::test(
        "run-exit-stopped",
        "`stockade stop` gives 137 and the cause killed",
        stopped,
    ),
    Behaviour::test(
        "run-exit-refused",
        "an unmet requirement gives 125 before anything runs",
        refused,
    ),
    Behaviour::test(
        "run-exit-not-executable",
        "what cannot be executed gives 126",
        not_executable,
    ),
    Behaviour::test(
        "run-exit-missing",
        "a command that exists nowhere gives 127",
        missing,
    ),
    Behaviour::test(
        "run-exit-hidden",
        "a command that the policy hides is told with its place and how to show it",
        hidden,
    ),
    Behaviour::test(
        "run-exit-events",
        "every run tells its start and its end on --status-fd, in this order",
        events,
    ),
    Behaviour::test(
        "run-exit-line",
        "one last line says driver, controls and ending",
        last_line,
    ),
];

fn own_code(world: &World) -> Verdict {
    for code in [0, 1, 3, 77, 124, 125, 137, 255] {
        let finished = world.run(&["sh", "-c", &format!("exit {code}")])?.expect(code)?;
        ensure!(
            finished.cause() == "code",
            "exit {code}: cause {}",
            finished.cause()
        );
        let value = finished.ended().and_then(|event| event["value"].as_i64());
        ensure!(value == Some(i64::from(code)), "exit {code}: {value:?}");
    }
    Ok(())
}

fn by_signal(world: &World) -> Verdict {
    for signal in [1, 6, 9, 11, 15] {
        let finished = world
            .sandbox()
            .attack(&["do".into(), "signal".into(), signal.to_string()])?
            .expect(128 + signal)?;
        ensure!(
            finished.cause() == "signal",
            "signal {signal}: cause {}",
            finished.cause()
        );
        let value = finished.ended().and_then(|event| event["value"].as_i64());
        ensure!(value == Some(i64::from(signal)), "signal {signal}: {value:?}");
    }
    Ok(())
}

fn time_limit(world: &World) -> Verdict {
    let finished = world
        .sandbox()
        .flags(&["--timeout", "300ms"])
        .run(&["sleep", "50"])?
        .expect(124)?;
    ensure!(finished.cause() == "timed-out", "cause {}", finished.cause());
    finished
        .complains(&["time limit", "300 ms", "--timeout"])
        .map(drop)
}

fn output_limit(world: &World) -> Verdict {
    let limit = 64 << 10;
    let sandbox = world.sandbox().flags(&["--output", "64K"]);
    let finished = sandbox
        .attack(&["load".into(), "output".into(), (64 << 20).to_string()])?
        .expect(137)?;
    ensure!(finished.cause() == "output-limit", "cause {}", finished.cause());
    ensure!(
        finished.stdout_total <= limit,
        "{} bytes passed",
        finished.stdout_total
    );
    finished.complains(&["output", "64 KiB", "--output"]).map(drop)
}

fn stopped(world: &World) -> Verdict {
    let mut running = world
        .sandbox()
        .flags(&["--name", "stopped"])
        .start_open(&["sleep", "50"])?;
    running.until_started()?;
    world
        .stockade(&["stop", "--grace", "100ms", "stopped"])?
        .expect(0)?;
    let finished = running.wait()?.expect(137)?;
    ensure!(finished.cause() == "killed", "cause {}", finished.cause());
    Ok(())
}

fn refused(world: &World) -> Verdict {
    let sandbox = world
        .sandbox()
        .policy("[need]\nown-machine = \"require\"\nown-kernel = \"require\"\n")?;
    let finished = sandbox
        .flags(&["--workspace-mode", "rw"])
        .run(&["touch", "ran"])?
        .expect(125)?;
    ensure!(!world.path("work/ran").exists(), "the command ran");
    let failed = finished.events.iter().find(|event| event["event"] == "failed");
    let missing = failed
        .and_then(|event| event["missing"].as_array())
        .map_or(0, Vec::len);
    ensure!(
        missing == 2,
        "{missing} missing controls were told: {:?}",
        finished.events
    );
    finished.complains(&["own-machine", "own-kernel"]).map(drop)
}

fn not_executable(world: &World) -> Verdict {
    world.file("work/text", "no program\n")?;
    std::fs::set_permissions(world.path("work/text"), std::fs::Permissions::from_mode(0o644))?;
    world.file("work/garbage", [0, 1, 2, 3])?;
    std::fs::set_permissions(world.path("work/garbage"), std::fs::Permissions::from_mode(0o755))?;
    for command in ["./text", "./garbage", "/etc"] {
        world.run(&[command])?.expect(126)?;
    }
    Ok(())
}

fn missing(world: &World) -> Verdict {
    for command in ["no-such-program-anywhere", "./no-such-file", "/no/such/file"] {
        world.run(&[command])?.expect(127)?.complains(&[command])?;
    }
    Ok(())
}

fn hidden(world: &World) -> Verdict {
    let tool = world.file("outside/tools/hidden-tool", "#!/bin/sh\necho shown\n")?;
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755))?;
    let path = tool.display().to_string();
    // Whoever can see names finds it, and is refused.
    let seen = world.driver().gives_up.contains(&ControlKind::NamesHidden);
    world
        .run(&[path.as_str()])?
        .expect(if seen { 126 } else { 127 })?
        .complains(&[&path, "--ro"])?;
    let directory = world.path("outside/tools").display().to_string();
    world
        .sandbox()
        .flags(&["--ro", &directory])
        .run(&[path.as_str()])?
        .expect_text("shown")
        .map(drop)
}

fn events(world: &World) -> Verdict {
    let finished = world.run(&["true"])?.expect(0)?;
    let names: Vec<&str> = finished
        .events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    ensure!(names == ["started", "ended"], "{names:?}");
    let started = &finished.events[0];
    ensure!(started["verified"] == started["controls"], "{started}");
    ensure!(
        started["controls"].as_u64() >= Some(15),
        "few controls: {started}"
    );
    Ok(())
}

fn last_line(world: &World) -> Verdict {
    let finished = world.shell("echo new > new; exit 3")?.expect(3)?;
    let line = finished.stderr.lines().last().unwrap_or_default().to_owned();
    for part in ["stockade:", "controls verified", "exit 3", "1 file changed"] {
        ensure!(line.contains(part), "no {part:?} in {line:?}");
    }
    let quiet = world.sandbox().flags(&["-q"]).run(&["true"])?.expect(0)?;
    ensure!(quiet.stderr.is_empty(), "-q is not quiet: {}", quiet.stderr);
    Ok(())
}
