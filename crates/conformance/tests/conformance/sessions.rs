//! Several commands in one sandbox, and sandboxes by name.

use serde_json::Value;
use std::time::Instant;

use stockade_conformance::{Ability, Behaviour, Running, Verdict, World, ensure, fail};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "sessions-exec",
        "a second command sees the files of the first",
        exec,
    )
    .small(),
    Behaviour::test(
        "sessions-processes",
        "a second command sees the processes of the first",
        processes,
    )
    .uses(&[Ability::Procfs])
    .small(),
    Behaviour::test(
        "sessions-exec-ending",
        "a second command has its own exit code, streams and input",
        exec_ending,
    )
    .small(),
    Behaviour::test(
        "sessions-posture",
        "a second command is confined as the first",
        posture,
    )
    .uses(&[Ability::Procfs])
    .small(),
    Behaviour::test("sessions-many", "twenty commands at once in one sandbox", many).small(),
    Behaviour::test("sessions-ls", "`ls` lists what runs, with name and state", ls).small(),
    Behaviour::test(
        "sessions-stop",
        "`stop` lets a command end by itself within the grace",
        stop,
    )
    .small(),
    Behaviour::test(
        "sessions-names",
        "a name in use is refused; an unknown one is told",
        names,
    )
    .small(),
    Behaviour::test(
        "sessions-rm",
        "`rm` refuses what runs, and removes what ended",
        rm,
    )
    .small(),
    Behaviour::test(
        "sessions-ends",
        "commands end with the first command of their sandbox",
        ends,
    )
    .small(),
    Behaviour::test(
        "sessions-keep",
        "--keep keeps the record, a plain run leaves none",
        keep,
    )
    .small(),
];

/// A sandbox that waits.
fn waiting(world: &World, name: &str) -> Verdict<Running> {
    let script = "echo first > file; pwd > ~/place; echo ready; sleep 50";
    let mut running = world
        .sandbox()
        .flags(&["--name", name])
        .start_open(&["sh", "-c", script])?;
    running.until_output("ready")?;
    Ok(running)
}

fn listed(world: &World) -> Verdict<Vec<Value>> {
    let text = world.stockade(&["ls", "--json"])?.expect(0)?.text();
    match serde_json::from_str(&text)? {
        Value::Array(list) => Ok(list),
        other => fail(format!("ls --json wrote {other}")),
    }
}

fn exec(world: &World) -> Verdict {
    let _running = waiting(world, "one")?;
    world
        .stockade(&["exec", "one", "cat", "file"])?
        .expect_text("first")?;
    world
        .stockade(&["exec", "one", "sh", "-c", "echo second > file"])?
        .expect(0)?;
    world
        .stockade(&["exec", "one", "cat", "file"])?
        .expect_text("second")?;
    Ok(())
}

fn processes(world: &World) -> Verdict {
    let _running = waiting(world, "one")?;
    let text = world
        .stockade(&[
            "exec",
            "one",
            "sh",
            "-c",
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
        ])?
        .expect(0)?
        .text();
    ensure!(text.contains("sleep 50"), "the first command is not seen: {text}");
    Ok(())
}

fn exec_ending(world: &World) -> Verdict {
    let _running = waiting(world, "one")?;
    world
        .stockade(&["exec", "one", "sh", "-c", "exit 7"])?
        .expect(7)?;
    world
        .stockade(&["exec", "one", "sh", "-c", "kill -9 $$"])?
        .expect(137)?;
    world.stockade(&["exec", "one", "no-such-program"])?.expect(127)?;
    world.stockade(&["exec", "one", "/etc"])?.expect(126)?;
    let finished = world
        .stockade(&[
            "exec",
            "-q",
            "one",
            "sh",
            "-c",
            "cat; echo err >&2; pwd; cat ~/place",
        ])?
        .expect(0)?;
    let text = finished.text();
    ensure!(
        text.split_once("\n")
            .is_some_and(|(here, first)| here == first.trim() && here.starts_with('/')),
        "{text:?}"
    );
    ensure!(finished.stderr == "err\n", "{:?}", finished.stderr);
    Ok(())
}

fn posture(world: &World) -> Verdict {
    let attack = world.payload_inside();
    let script = format!(
        "{attack} ids; {attack} SD07; {attack} SD01; cat /proc/self/attr/current /proc/self/cgroup 2>/dev/null; ls -l /proc/self/ns | sed 's/.*-> //'"
    );
    let first = world.sandbox().flags(&["--name", "one"]);
    let mut running = first.start_open(&["sh", "-c", &format!("{script}; echo ready; sleep 50")])?;
    running.until_output("ready")?;
    let first = String::from_utf8_lossy(&running.output()).into_owned();
    let second = world
        .stockade(&["exec", "one", "sh", "-c", &format!("{script}; echo ready")])?
        .expect(0)?
        .text();
    let keep = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("Session:"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (first, second) = (keep(&first), keep(&second));
    ensure!(first.len() > 20, "too little to compare: {first:?}");
    let differences: Vec<_> = first
        .iter()
        .zip(&second)
        .filter(|(one, two)| one != two)
        .collect();
    ensure!(
        differences.is_empty() && first.len() == second.len(),
        "{differences:?}\n{first:?}\n{second:?}"
    );
    Ok(())
}

fn many(world: &World) -> Verdict {
    let _running = waiting(world, "one")?;
    std::thread::scope(|scope| {
        let commands: Vec<_> = (0..20)
            .map(|number| {
                let mut command = world.command(world.suite().program());
                command.args([
                    "exec",
                    "one",
                    "sh",
                    "-c",
                    &format!("echo {number}; sleep 0.3; exit {number}"),
                ]);
                scope.spawn(move || stockade_conformance::run::finish(command, Vec::new(), None))
            })
            .collect();
        for (number, command) in commands.into_iter().enumerate() {
            let Ok(finished) = command.join() else {
                return fail("a thread ended");
            };
            finished?.expect(i32::try_from(number)?).and_then(|finished| {
                ensure!(
                    finished.text().trim() == number.to_string(),
                    "{number}: {:?}",
                    finished.text()
                );
                Ok(())
            })?;
        }
        Ok(())
    })
}

fn ls(world: &World) -> Verdict {
    ensure!(listed(world)?.is_empty(), "something is listed already");
    let running = waiting(world, "listed")?;
    let list = listed(world)?;
    ensure!(list.len() == 1 && list[0]["name"] == "listed", "{list:?}");
    let names = world.stockade(&["ls", "-q"])?.expect(0)?.text();
    ensure!(names.trim() == "listed", "{names:?}");
    ensure!(
        world.stockade(&["ls"])?.expect(0)?.text().contains("listed"),
        "the table does not name it"
    );
    drop(running);
    Ok(())
}

fn stop(world: &World) -> Verdict {
    let script = "trap 'echo goodbye; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = world
        .sandbox()
        .flags(&["--name", "polite"])
        .start_open(&["sh", "-c", script])?;
    running.until_output("ready")?;
    let asked = Instant::now();
    world.stockade(&["stop", "--grace", "20s", "polite"])?.expect(0)?;
    let finished = running.wait()?;
    let took = asked.elapsed();
    ensure!(
        finished.text().contains("goodbye"),
        "it was not asked to end: {}",
        finished.all()
    );
    ensure!(took.as_secs() < 15, "the grace was waited for: {took:?}");
    Ok(())
}

fn names(world: &World) -> Verdict {
    let _running = waiting(world, "taken")?;
    world
        .sandbox()
        .flags(&["--name", "taken"])
        .run(&["true"])?
        .expect(125)?
        .complains(&["taken"])?;
    for command in [
        &["exec", "unknown", "true"][..],
        &["stop", "unknown"],
        &["rm", "unknown"],
        &["changes", "unknown"],
    ] {
        world.stockade(command)?.expect(125)?.complains(&["unknown"])?;
    }
    for name in ["../x", "a/b", "", "-x", "a\nb"] {
        ensure!(
            world
                .sandbox()
                .flags(&[format!("--name={name}")])
                .run(&["true"])?
                .code
                != 0,
            "the name {name:?} was taken"
        );
    }
    Ok(())
}

fn rm(world: &World) -> Verdict {
    let running = waiting(world, "one")?;
    world.stockade(&["rm", "one"])?.expect(125)?.complains(&["one"])?;
    world.stockade(&["stop", "--grace", "0s", "one"])?.expect(0)?;
    running.wait()?.expect(137)?;
    world.stockade(&["rm", "one"])?.expect(0)?;
    ensure!(listed(world)?.is_empty(), "it is still listed");
    let running = waiting(world, "two")?;
    world.stockade(&["rm", "--force", "two"])?.expect(0)?;
    running.wait()?.expect(137)?;
    ensure!(listed(world)?.is_empty(), "it is still listed");
    Ok(())
}

fn ends(world: &World) -> Verdict {
    let script = "echo ready; read line; exit 3";
    let mut running = world
        .sandbox()
        .flags(&["--name", "short"])
        .start_open(&["sh", "-c", script])?;
    running.until_output("ready")?;
    let mut command = world.command(world.suite().program());
    command.args(["exec", "short", "sh", "-c", "echo here; sleep 55"]);
    std::thread::scope(|scope| {
        let second = scope.spawn(move || stockade_conformance::run::finish(command, Vec::new(), None));
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.feed(b"\n".to_vec());
        running.wait()?.expect(3)?;
        let Ok(second) = second.join() else {
            return fail("a thread ended");
        };
        let second = second?;
        ensure!(
            second.code != 0 && second.took.as_secs() < 30,
            "exit {} after {:?}",
            second.code,
            second.took
        );
        Ok(())
    })
}

fn keep(world: &World) -> Verdict {
    world
        .sandbox()
        .flags(&["--name", "plain", "--workspace-mode", "ro"])
        .run(&["true"])?
        .expect(0)?;
    ensure!(
        listed(world)?.is_empty(),
        "a plain run is listed: {:?}",
        listed(world)?
    );
    world
        .sandbox()
        .flags(&["--name", "kept", "--keep", "--workspace-mode", "ro"])
        .run(&["true"])?
        .expect(0)?;
    let list = listed(world)?;
    ensure!(list.len() == 1 && list[0]["name"] == "kept", "{list:?}");
    world.stockade(&["rm", "kept"])?.expect(0).map(drop)
}
