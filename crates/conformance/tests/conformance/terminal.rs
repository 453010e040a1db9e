//! The terminal that the user sits at. (Interactive use has its tests beside the program.)

use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, terminal};

pub const ALL: &[Behaviour] = &[Behaviour::test(
    "SD03-own",
    "a command that asks for a terminal gets one of its own",
    own_terminal,
)
.needs(&[ControlKind::TerminalPrivate])];

/// Runs a script of `sh` with a controlling terminal; returns what the terminal showed.
pub fn on_terminal(world: &World, script: &str, arguments: &[&str]) -> Verdict<String> {
    terminal::on_terminal(&world.field(), script, arguments)
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
