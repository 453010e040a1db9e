//! Many sandboxes at once.

use stockade_conformance::{Behaviour, Verdict, World, ensure, fail};

pub const ALL: &[Behaviour] = &[
    Behaviour::test("R4", "fifty runs at once end without an error", fifty)
        .alone()
        .small(),
    Behaviour::test(
        "SV10",
        "two sandboxes see, signal and reach nothing of each other",
        apart,
    )
    .small(),
    Behaviour::test("R4-names", "of ten runs with one name, one gets it", one_name).small(),
];

fn fifty(world: &World) -> Verdict {
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..50)
            .map(|number| {
                let sandbox = world.sandbox().flags(&["-q"]);
                let (command, _) = sandbox.prepare(&[
                    "sh",
                    "-c",
                    &format!("cat; echo {number} > file; cat file; exit {number}"),
                ]);
                scope.spawn(move || stockade_conformance::run::finish(command, b"in ".to_vec(), None))
            })
            .collect();
        let mut wrong = Vec::new();
        for (number, run) in runs.into_iter().enumerate() {
            let Ok(finished) = run.join() else {
                return fail("a thread ended");
            };
            let finished = finished?;
            if finished.code != i32::try_from(number)? || finished.text() != format!("in {number}\n") {
                wrong.push(format!("{number}: exit {}: {}", finished.code, finished.all()));
            }
        }
        ensure!(wrong.is_empty(), "{} of 50: {}", wrong.len(), wrong.join("\n"));
        Ok(())
    })
}

fn apart(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let script =
        r#""$0" IP08 first >/dev/null; echo ready; trap 'echo HIT' USR1; while :; do sleep 0.1; done"#;
    let mut first = world
        .sandbox()
        .flags(&["--name", "first"])
        .start_open(&["sh", "-c", script, &payload])?;
    first.until_output("ready")?;
    // The control: a second command of the same sandbox finds the notes.
    let control = world.stockade(&["exec", "first", &payload, "IP08", "second"])?;
    ensure!(
        control.text().contains("REACHED"),
        "the control found nothing: {}",
        control.all()
    );
    let script = r#""$0" IP08 second; cat /proc/[0-9]*/cmdline | tr '\0' ' '; trap '' USR1; kill -USR1 -1; i=2; while [ $i -lt 300 ]; do kill -USR1 $i 2>/dev/null; i=$((i+1)); done; echo end"#;
    let second = world.sandbox().run(&["sh", "-c", script, &payload])?.expect(0)?;
    ensure!(
        second.text().contains("DONE") && !second.text().contains("REACHED"),
        "{}",
        second.all()
    );
    ensure!(
        !second.text().contains("IP08 first"),
        "the first's processes are seen: {}",
        second.text()
    );
    std::thread::sleep(std::time::Duration::from_millis(300));
    ensure!(
        !String::from_utf8_lossy(&first.output()).contains("HIT"),
        "a signal arrived"
    );
    ensure!(first.is_running()?, "the first sandbox ended");
    Ok(())
}

fn one_name(world: &World) -> Verdict {
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..10)
            .map(|_| {
                let (command, _) = world
                    .sandbox()
                    .flags(&["-q", "--name", "same"])
                    .prepare(&["sleep", "1.5"]);
                scope.spawn(move || stockade_conformance::run::finish(command, Vec::new(), None))
            })
            .collect();
        let mut codes = Vec::new();
        for run in runs {
            let Ok(finished) = run.join() else {
                return fail("a thread ended");
            };
            codes.push(finished?.code);
        }
        let good = codes.iter().filter(|code| **code == 0).count();
        ensure!(
            good >= 1 && codes.iter().all(|code| [0, 125].contains(code)),
            "{codes:?}"
        );
        ensure!(good == 1 || good < 4, "{good} had the name at once: {codes:?}");
        Ok(())
    })
}
