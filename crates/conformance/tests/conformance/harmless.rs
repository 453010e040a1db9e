//! Commands that destroy everything they reach reach nothing of the host.

use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::test("harmless-workspace", "`rm -rf .` in the workspace", workspace)
        .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Behaviour::test("harmless-home", "`rm -rf ~`", home).needs(&[ControlKind::HomeHidden]),
    Behaviour::test("harmless-root", "`rm -rf /`", root).needs(&[ControlKind::SystemReadOnly]),
    Behaviour::test(
        "harmless-overwrite",
        "overwriting, truncating, moving and changing modes of everything",
        overwrite,
    ),
    Behaviour::test(
        "harmless-git",
        "`git clean -fdx` and a forced reset of the whole history",
        git,
    )
    .uses(&[Ability::Modes]),
];

/// Runs a script; home and workspace of the host must be what they were.
fn unharmed(world: &World, script: &str, effect: &str) -> Verdict {
    for name in [
        "work/file",
        "work/below/file",
        "work/.hidden/file",
        "home/file",
        "home/.ssh/key",
        "outside/file",
    ] {
        world.file(name, name)?;
    }
    let before = ["work", "home"].map(|name| Tree::of(&world.path(name)));
    let finished = world
        .sandbox()
        .flags(&["-q"])
        .shell(&format!("{script}; {effect}"))?;
    let later = ["work", "home"].map(|name| Tree::of(&world.path(name)));
    for (before, later) in before.iter().zip(&later) {
        ensure!(
            before == later,
            "the host was changed:{}\n{}",
            before.differences(later),
            finished.all()
        );
    }
    ensure!(
        std::fs::read_to_string(world.path("outside/file"))? == "outside/file",
        "the neighbour was changed"
    );
    // Inside it was effective, or nothing is shown.
    ensure!(
        finished.text().contains("effective"),
        "nothing happened inside: {}",
        finished.all()
    );
    Ok(())
}

fn workspace(world: &World) -> Verdict {
    let script = r#"own=$PWD; rm -rf ./* ./.hidden "$PWD" 2>/dev/null; cd /"#;
    unharmed(world, script, r#"test -e "$own/file" || echo effective"#)
}

fn home(world: &World) -> Verdict {
    unharmed(
        world,
        "touch ~/mine; rm -rf ~ ~/* ~/.* 2>/dev/null",
        "test -e ~/mine || echo effective",
    )
}

fn root(world: &World) -> Verdict {
    let script = r#"own=$PWD; rm -rf --no-preserve-root / "$own" 2>/dev/null"#;
    unharmed(world, script, r#"[ -e "$own/file" ] || echo effective"#)
}

fn overwrite(world: &World) -> Verdict {
    let script = r"find . -type f -exec sh -c 'echo gone > $1; chmod 777 $1; touch -d @0 $1' _ {} \; ; mv below moved; ln -sf /etc/passwd file; : > .hidden/file; chmod -R 0 .hidden";
    unharmed(world, script, "test -d moved && echo effective")
}

fn git(world: &World) -> Verdict {
    if stockade_conformance::program::find("git").is_none() {
        return stockade_conformance::skip("git is missing");
    }
    world.file("work/committed", "one")?;
    let git = stockade_conformance::run::finish;
    let mut command = world.command(std::path::Path::new("/bin/sh"));
    command.args([
        "-c",
        "git init -q . && git add -A . && git -c user.name=a -c user.email=a@b commit -qm one",
    ]);
    git(command, Vec::new(), None)?.expect(0)?;
    let script = "rm -rf .git/refs .git/objects; git clean -fdxq; rm -rf .git";
    unharmed(world, script, "test -d .git || echo effective")
}
