//! Standard input, output and error.

use std::path::Path;

use stockade_conformance::run::finish;
use stockade_conformance::{Behaviour, Verdict, World, ensure, fail, tree};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "streams-binary",
        "10 MiB of any bytes pass both ways unchanged",
        binary,
    ),
    Behaviour::test(
        "streams-half-close",
        "the end of standard input arrives, and output goes on after it",
        half_close,
    ),
    Behaviour::test(
        "streams-stay-open",
        "standard input that stays open does not end early",
        stay_open,
    ),
    Behaviour::test(
        "streams-separate",
        "standard output and standard error stay apart",
        separate,
    ),
    Behaviour::test(
        "streams-unread-input",
        "input that nobody reads holds nothing up",
        unread_input,
    ),
    Behaviour::test(
        "streams-closed-reader",
        "a reader that leaves ends the command",
        closed_reader,
    ),
    Behaviour::test(
        "streams-complete",
        "all output written before the end arrives",
        complete,
    ),
    Behaviour::test(
        "streams-empty",
        "a command without input or output leaves none",
        empty,
    ),
];

fn binary(world: &World) -> Verdict {
    let mut bytes = vec![0_u8; 10 << 20];
    rustix::rand::getrandom(&mut bytes[..256], rustix::rand::GetRandomFlags::empty())?;
    for at in 256..bytes.len() {
        bytes[at] = bytes[at - 256].wrapping_mul(31).wrapping_add(bytes[at - 1]);
    }
    let expected = tree::hash(&bytes);
    let finished = world
        .sandbox()
        .stdin(bytes)
        .attack(&["do".into(), "echo".into()])?
        .expect(0)?;
    ensure!(
        tree::hash(&finished.stdout) == expected,
        "{} bytes came back, changed",
        finished.stdout_total
    );
    Ok(())
}

fn half_close(world: &World) -> Verdict {
    let sandbox = world.sandbox().stdin("one\ntwo\n");
    sandbox
        .shell("cat; sleep 0.2; echo after the end")?
        .expect_text("one\ntwo\nafter the end")
        .map(drop)
}

fn stay_open(world: &World) -> Verdict {
    let mut running = world
        .sandbox()
        .start_open(&["sh", "-c", "echo ready; read line; echo got $line"])?;
    running.until_output("ready")?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    ensure!(
        running.is_running()?,
        "the command saw an end of input that was not there"
    );
    running.feed(b"words\n".to_vec());
    running.wait()?.expect_text("ready\ngot words").map(drop)
}

fn separate(world: &World) -> Verdict {
    let finished = world
        .sandbox()
        .flags(&["-q"])
        .shell("echo out; echo err >&2")?
        .expect_text("out")?;
    ensure!(
        finished.stderr == "err\n",
        "standard error: {:?}",
        finished.stderr
    );
    Ok(())
}

fn unread_input(world: &World) -> Verdict {
    world
        .sandbox()
        .stdin(vec![b'x'; 8 << 20])
        .run(&["true"])?
        .expect(0)?;
    world
        .sandbox()
        .stdin(vec![b'x'; 8 << 20])
        .shell("head -c 5; exit 4")?
        .expect(4)
        .map(drop)
}

fn closed_reader(world: &World) -> Verdict {
    let mut command = world.command(Path::new("/bin/sh"));
    command
        .args(["-c", r#""$0" run -q $RUN_FLAGS -- yes | head -n 1"#])
        .arg(world.suite().program());
    finish(command, Vec::new(), None)?.expect_text("y").map(drop)
}

fn complete(world: &World) -> Verdict {
    let finished = world
        .shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")?
        .expect(0)?;
    let text = finished.text();
    match text
        .lines()
        .enumerate()
        .find(|(number, line)| *line != format!("line {number}"))
    {
        None if text.lines().count() == 20_000 => Ok(()),
        None => fail(format!("{} lines", text.lines().count())),
        Some((number, line)) => fail(format!("line {number} is {line:?}")),
    }
}

fn empty(world: &World) -> Verdict {
    let finished = world.sandbox().flags(&["-q"]).run(&["cat"])?.expect(0)?;
    ensure!(finished.all().is_empty(), "{:?}", finished.all());
    ensure!(finished.streams_closed, "something still holds the streams");
    Ok(())
}
