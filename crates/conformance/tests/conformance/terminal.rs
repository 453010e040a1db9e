//! The terminal that the user sits at. (Interactive use has its tests beside the program.)

use std::io::Read;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use stockade_conformance::canary::token;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, program, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "SD03",
        "nothing can be typed into the user's terminal",
        push_input,
    )
    .needs(&[ControlKind::TerminalPrivate])
    .small(),
    Behaviour::test(
        "SD03-own",
        "a command that asks for a terminal gets one of its own",
        own_terminal,
    )
    .needs(&[ControlKind::TerminalPrivate]),
    Behaviour::test(
        "SD09",
        "job control signals of a command stay inside",
        stop_signals,
    )
    .needs(&[ControlKind::TerminalPrivate]),
];

/// Runs a script of `sh` with a controlling terminal; returns what the terminal showed.
pub fn on_terminal(world: &World, script: &str, arguments: &[&str]) -> Verdict<String> {
    if program::find("setsid").is_none() {
        return skip("setsid of util-linux is missing");
    }
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = || {
        rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let mut command: Command = world.command(std::path::Path::new("setsid"));
    command
        .args(["--ctty", "--wait", "sh", "-c", script])
        .args(arguments)
        .env("TERM", "xterm");
    command
        .stdin(Stdio::from(slave()?))
        .stdout(Stdio::from(slave()?))
        .stderr(Stdio::from(slave()?));
    let mut child = command.spawn()?;
    drop(command);
    let mut terminal = std::fs::File::from(master);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // EIO when the last program has closed the terminal.
        let _ = terminal.read_to_end(&mut bytes);
        bytes
    });
    let deadline = std::time::Instant::now() + stockade_conformance::run::PATIENCE;
    while child.try_wait()?.is_none() {
        if std::time::Instant::now() > deadline {
            child.kill()?;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let bytes = reader.join().unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What waits in the terminal afterwards is what a shell would run.
const THEN_READ: &str = "stty -icanon -echo min 0 time 5; echo \"[input:$(cat)]\"";

fn push_input(world: &World) -> Verdict {
    let payload = world.payload_inside();
    let program = world.suite().program().display().to_string();
    let token = token()?;
    let pushed = |shown: &str| {
        shown
            .rsplit_once("[input:")
            .is_some_and(|(_, input)| input.contains(&token))
    };
    let control = on_terminal(
        world,
        &format!(r#""$0" SD03 "$1"; {THEN_READ}"#),
        &[&payload, &token],
    )?;
    let reachable = pushed(&control);
    for flag in ["-t", "-T", "-iT"] {
        let script = format!(r#""$2" run -q $RUN_FLAGS {flag} -- "$0" SD03 "$1"; {THEN_READ}"#);
        let shown = on_terminal(world, &script, &[&payload, &token, &program])?;
        ensure!(
            shown.contains("DONE") && shown.contains("[input:"),
            "{flag}: it did not run: {shown}"
        );
        ensure!(!pushed(&shown), "{flag}: {shown}");
    }
    if reachable {
        Ok(())
    } else {
        skip(format!(
            "inconclusive: outside it is refused, too (it needs root, or an old kernel): {control}"
        ))
    }
}

fn own_terminal(world: &World) -> Verdict {
    let program = world.suite().program().display().to_string();
    let script = r#"outer=$(tty); "$0" run -q $RUN_FLAGS -t -- sh -c 'echo "inner=$(tty)"; test -t 0 && test -t 1 && echo all'; echo "outer=$outer"; "$0" run -q $RUN_FLAGS -T -- sh -c 'tty || echo none; (: < /dev/tty) 2>/dev/null || echo closed'"#;
    let shown = on_terminal(world, script, &[&program])?;
    let named = if world.offers(Ability::OwnLinks) {
        "inner=/dev/pts/"
    } else {
        "inner=not a tty" // it has no name that could be found
    };
    for part in [named, "outer=/dev/pts/", "all", "none", "closed"] {
        ensure!(shown.contains(part), "no {part:?} in {shown}");
    }
    Ok(())
}

fn stop_signals(world: &World) -> Verdict {
    let program = world.suite().program().display().to_string();
    // A signal to the whole process group: the shell outside must not get it.
    let script = r#"trap 'echo HIT' TERM WINCH USR1; for flag in -t -T; do "$0" run -q $RUN_FLAGS $flag -- sh -c 'trap "" TERM USR1; kill -USR1 0; kill -TERM 0; kill -WINCH 0; kill -TERM -1; echo sent'; done; echo "end of shell""#;
    let shown = on_terminal(world, script, &[&program])?;
    ensure!(
        shown.matches("sent").count() == 2 && shown.contains("end of shell"),
        "{shown}"
    );
    ensure!(!shown.contains("HIT"), "the shell outside got a signal: {shown}");
    Ok(())
}
