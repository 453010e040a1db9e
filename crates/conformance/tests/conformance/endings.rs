//! Commands that do not want to end, and signals.

use std::time::Duration;

use rustix::process::Signal;
use stockade_conformance::{Ability, Behaviour, ControlKind, Running, Verdict, World, ensure, host};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "CL01",
        "a detached child that hears no signal is gone when the run ends",
        background,
    )
    .small(),
    Behaviour::test(
        "endings-deaf-timeout",
        "a command that ignores signals is killed at the time limit",
        deaf_timeout,
    )
    .small(),
    Behaviour::test(
        "endings-deaf-stop",
        "a command that ignores signals is killed after the grace",
        deaf_stop,
    )
    .small(),
    Behaviour::test(
        "endings-stopped",
        "a command that stopped itself is killed at the time limit",
        stopped_timeout,
    )
    .small(),
    Behaviour::test(
        "endings-stopped-stop",
        "a command that stopped itself is ended by `stop`",
        stopped_stop,
    )
    .small(),
    Behaviour::test(
        "endings-sigterm",
        "SIGTERM to the supervisor reaches the command, and nothing stays",
        sigterm,
    )
    .small(),
    Behaviour::test(
        "endings-sigint",
        "SIGINT without a terminal reaches the command",
        sigint,
    )
    .small(),
    Behaviour::test(
        "endings-sighup",
        "SIGHUP to the supervisor ends everything, at once if it comes twice",
        sighup,
    )
    .small(),
    Behaviour::test(
        "endings-guest-killed",
        "a guest that is killed from outside ends the run at once, and is no success",
        guest_killed,
    )
    .needs(&[ControlKind::DiesWithSupervisor])
    .small(),
    Behaviour::test(
        "endings-orphans",
        "orphans become children of PID 1 inside, and are reaped",
        orphans,
    )
    .uses(&[Ability::Procfs])
    .small(),
    Behaviour::test(
        "endings-deep",
        "a tree of processes in several sessions ends with its first",
        deep,
    )
    .small(),
    Behaviour::test(
        "endings-time-of-children",
        "the time limit ends children that outlive the command's own time",
        slow_tree,
    )
    .small(),
];

fn load(world: &World, words: &[&str]) -> Vec<String> {
    let payload = world.payload_inside();
    [payload, "load".into()]
        .into_iter()
        .chain(words.iter().map(|word| (*word).to_owned()))
        .collect()
}

/// Nothing with this world's payload runs any more.
fn nothing_left(world: &World) -> Verdict {
    let left = host::mentioning(&world.path("").display().to_string());
    host::until_gone(&left, Duration::from_secs(2))
}

fn background(world: &World) -> Verdict {
    // The control: without a sandbox it stays.
    let payload = world.payload();
    world
        .outside(&[], &[], &["load".into(), "background".into(), "50000".into()])?
        .expect(0)?;
    let left = host::mentioning(&payload.display().to_string());
    ensure!(left.len() == 1, "the control left {left:?}");
    for process in &left {
        host::signal(process.pid, Signal::KILL)?;
    }
    host::until_gone(&left, Duration::from_secs(10))?;
    let finished = world
        .sandbox()
        .run(&load(world, &["background", "50000"]))?
        .expect(0)?;
    ensure!(finished.streams_closed, "something holds the streams");
    nothing_left(world)
}

fn deaf_timeout(world: &World) -> Verdict {
    let sandbox = world.sandbox().flags(&["--timeout", "500ms"]);
    let finished = sandbox.run(&load(world, &["deaf", "50000"]))?.expect(124)?;
    ensure!(
        finished.text().contains("deaf"),
        "it did not start: {}",
        finished.all()
    );
    ensure!(finished.took < Duration::from_secs(20), "{:?}", finished.took);
    nothing_left(world)
}

fn waiting_for(world: &World, words: &[&str], text: &str) -> Verdict<Running> {
    let mut running = world
        .sandbox()
        .flags(&["--name", "stubborn"])
        .start_open(&load(world, words))?;
    running.until_output(text)?;
    Ok(running)
}

fn deaf_stop(world: &World) -> Verdict {
    let running = waiting_for(world, &["deaf", "50000"], "deaf")?;
    world
        .stockade(&["stop", "--grace", "300ms", "stubborn"])?
        .expect(0)?;
    running.wait()?.expect(137)?;
    nothing_left(world)
}

fn stopped_timeout(world: &World) -> Verdict {
    let sandbox = world.sandbox().flags(&["--timeout", "700ms"]);
    let finished = sandbox.run(&load(world, &["stopped"]))?.expect(124)?;
    ensure!(
        finished.text().contains("stopping"),
        "it did not start: {}",
        finished.all()
    );
    nothing_left(world)
}

fn stopped_stop(world: &World) -> Verdict {
    let running = waiting_for(world, &["stopped"], "stopping")?;
    world
        .stockade(&["stop", "--grace", "300ms", "stubborn"])?
        .expect(0)?;
    let finished = running.wait()?;
    ensure!(finished.code != 0, "exit 0");
    nothing_left(world)
}

fn trapping(world: &World, signal: &str) -> Verdict<Running> {
    let script =
        format!("trap 'echo got {signal}; exit 9' {signal}; echo ready; while :; do sleep 0.05; done");
    let mut running = world.sandbox().start_open(&["sh", "-c", &script])?;
    running.until_output("ready")?;
    Ok(running)
}

fn sigterm(world: &World) -> Verdict {
    let running = trapping(world, "TERM")?;
    running.signal(Signal::TERM)?;
    let finished = running.wait()?;
    ensure!(
        finished.text().contains("got TERM"),
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    ensure!(finished.code != 0, "exit 0 after SIGTERM");
    nothing_left(world)
}

fn sigint(world: &World) -> Verdict {
    let running = trapping(world, "INT")?;
    running.signal(Signal::INT)?;
    let finished = running.wait()?;
    ensure!(
        finished.text().contains("got INT"),
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    nothing_left(world)
}

fn sighup(world: &World) -> Verdict {
    let mut running = waiting_for(world, &["deaf", "50000"], "deaf")?;
    let inside = host::below(running.supervisor());
    ensure!(!inside.is_empty(), "nothing runs below the supervisor");
    running.signal(Signal::HUP)?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(running.is_running()?, "the grace is not given");
    // Asked again, it waits no longer.
    running.signal(Signal::HUP)?;
    let finished = running.wait()?;
    ensure!(finished.code != 0, "exit 0 after SIGHUP");
    ensure!(
        finished.took < Duration::from_secs(8),
        "the whole grace passed: {:?}",
        finished.took
    );
    host::until_gone(&inside, Duration::from_secs(2))
}

fn orphans(world: &World) -> Verdict {
    let script = r#"attack=$0; "$attack" load zombies 200 2>/dev/null; (sh -c 'sleep 0.3; echo parent $(cut -d" " -f4 /proc/$$/stat)' &) ; sleep 0.8;
                    cat /proc/[0-9]*/stat | grep -c ') Z '"#;
    let payload = world.payload_inside();
    let finished = world.sandbox().run(&["sh", "-c", script, &payload])?;
    ensure!(finished.text().trim() == "parent 1\n0", "{}", finished.all());
    Ok(())
}

fn deep(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let script = r#"attack=$0; for i in 1 2 3 4 5; do setsid "$attack" load deaf 50000 & setsid sh -c "\"$attack\" load deaf 50000 & wait" & done; sleep 0.5; echo started; exit 6"#;
    let finished = world.sandbox().run(&["sh", "-c", script, &payload])?.expect(6)?;
    ensure!(finished.text().contains("deaf"), "{}", finished.all());
    nothing_left(world)
}

fn slow_tree(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let script = r#""$0" load deaf 50000 & "$0" load spin 50000 & wait"#;
    let sandbox = world.sandbox().flags(&["--timeout", "600ms"]);
    sandbox.run(&["sh", "-c", script, &payload])?.expect(124)?;
    nothing_left(world)
}

fn guest_killed(world: &World) -> Verdict {
    let mut running = world
        .sandbox()
        .flags(&["--name", "beheaded"])
        .start_open(&load(world, &["deaf", "50000"]))?;
    running.until_output("deaf")?;
    let inside = host::below(running.supervisor());
    let Some(guest) = inside.iter().find(|process| process.name == "stockade-guest") else {
        return stockade_conformance::skip("this driver's guest is no process of this host");
    };
    host::signal(guest.pid, Signal::KILL)?;
    let finished = running.wait()?;
    ensure!(
        finished.code != 0 && finished.took < Duration::from_secs(20),
        "exit {} after {:?}",
        finished.code,
        finished.took
    );
    host::until_gone(&inside, Duration::from_secs(2))?;
    world.stockade(&["gc"])?.expect(0).map(drop)
}
