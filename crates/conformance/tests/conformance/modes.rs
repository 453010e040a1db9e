//! What each mode of the workspace lets through, shows and keeps, beyond copy-on-write.

use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, run};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "mode-copy",
        "a copy is written and not the host's files; diff and apply tell and take just what is in it",
        copy,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite])
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "mode-copy-continued",
        "a later run with a copy goes on with the changes of the one before, and a discard ends that",
        copy_continued,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Behaviour::test(
        "mode-live",
        "a live workspace is the host's own; a checkpoint was taken first, and diff, rewind and undo go by it",
        live,
    )
    .uses(&[Ability::InPlace]),
    Behaviour::test(
        "mode-live-protected",
        "in a live workspace what runs on the host later cannot be written, moved or replaced, and commits work",
        live_protected,
    )
    .needs(&[ControlKind::WorkspaceProtected])
    .uses(&[Ability::InPlace, Ability::Holes]),
    Behaviour::test(
        "mode-ro",
        "a read-only workspace is shown in whole and no call changes it",
        read_only,
    )
    .needs(&[ControlKind::WorkspaceReadOnly]),
    Behaviour::test(
        "mode-none",
        "without a workspace neither its files nor its names are there",
        none,
    )
    .needs(&[ControlKind::NamesHidden]),
    Behaviour::test(
        "mode-none-files",
        "without a workspace no file of it is read or written",
        none_files,
    )
    .needs(&[ControlKind::FilesUnreadable]),
];

/// Files of the host get their times by a clock that moves in ticks.
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}

fn prepare(world: &World) -> Verdict {
    for name in ["kept", "changed", "deleted", "directory/inner", "directory/other"] {
        world.file(&format!("work/{name}"), format!("{name}\n"))?;
    }
    std::os::unix::fs::symlink("kept", world.path("work/link"))?;
    wait();
    Ok(())
}

/// Every kind of change; the last words show the result as a program inside sees it.
const WORK: &str = "set -e; echo after > changed; rm deleted; rm -r directory; mkdir -p added/deep; \
                    echo new > added/deep/file; ln -sf changed link; echo x > directory; mv kept renamed";
const SHOW: &str =
    "find . ! -name attack | sort; cat changed added/deep/file directory renamed; readlink link";

/// Every path with its kind, mode, owner, target and content.
const CONTENTS: &str =
    "find . -printf '%P %y %m %U %G %l\\n' | sort; find . -type f ! -name attack | sort | xargs cat";

fn with_mode(world: &World, mode: &str, script: &str) -> Verdict<String> {
    let sandbox = world.sandbox().flags(&["--workspace-mode", mode]);
    Ok(sandbox.shell(script)?.expect(0)?.text())
}

/// A script of the host, in the workspace.
fn outside(world: &World, script: &str) -> Verdict<String> {
    let mut command = world.command(std::path::Path::new("/bin/sh"));
    command.args(["-c", script]);
    Ok(run::finish(command, Vec::new(), None)?.expect(0)?.text())
}

fn copy(world: &World) -> Verdict {
    prepare(world)?;
    let before = Tree::of(&world.work());
    let inside = with_mode(world, "copy", &format!("{WORK}; chmod 755 changed; {SHOW}"))?;
    let later = Tree::of(&world.work());
    ensure!(
        before == later,
        "the host's files changed:{}",
        before.differences(&later)
    );
    let named = world.stockade(&["diff", "--name-only"])?.expect(0)?.text();
    let told: Vec<&str> = named.lines().collect();
    let expected = [
        "added/deep/file",
        "changed",
        "deleted",
        "directory",
        "directory/inner",
        "directory/other",
        "link",
        "renamed",
    ];
    let mut rest = expected.to_vec();
    rest.retain(|name| !told.contains(name));
    ensure!(rest.is_empty(), "diff does not tell of {rest:?}: {told:?}");
    world.stockade(&["apply", "--all"])?.expect(0)?;
    let outside = outside(world, SHOW)?;
    ensure!(outside == inside, "inside: {inside}\noutside: {outside}");
    let empty = world.stockade(&["diff", "--name-only"])?.expect(0)?.text();
    ensure!(empty.is_empty(), "left after all was applied: {empty}");
    world.stockade(&["undo"])?.expect(0)?;
    let undone = Tree::of(&world.work());
    ensure!(before == undone, "after the undo:{}", before.differences(&undone));
    Ok(())
}

fn copy_continued(world: &World) -> Verdict {
    prepare(world)?;
    with_mode(world, "copy", "echo first > made; rm deleted")?;
    let text = with_mode(world, "copy", "cat made; test ! -e deleted; echo second >> made")?;
    ensure!(text == "first\n", "{text}");
    // What one mode kept apart another goes on with.
    let text = with_mode(world, "cow", "cat made; test ! -e deleted")?;
    ensure!(text == "first\nsecond\n", "{text}");
    world.stockade(&["discard", "--yes"])?.expect(0)?;
    let text = with_mode(world, "copy", "cat deleted; test ! -e made")?;
    ensure!(text == "deleted\n", "{text}");
    Ok(())
}

fn live(world: &World) -> Verdict {
    prepare(world)?;
    // A rewind makes files anew: their times are other ones.
    let shown = || outside(world, CONTENTS);
    let before = shown()?;
    let sandbox = world.sandbox().flags(&["--workspace-mode", "live"]);
    let sandbox = sandbox.flags(&["--prefer", ControlKind::WorkspaceProtected.name()]);
    let inside = sandbox.shell(&format!("{WORK}; {SHOW}"))?.expect(0)?.text();
    let outside = outside(world, SHOW)?;
    ensure!(inside == outside, "inside: {inside}\noutside: {outside}");
    let after = shown()?;
    ensure!(before != after, "nothing reached the host");
    let named = world.stockade(&["diff", "--name-only"])?.expect(0)?.text();
    for name in ["changed", "deleted", "added/deep/file", "renamed"] {
        ensure!(
            named.lines().any(|line| line == name),
            "diff does not tell of {name}: {named}"
        );
    }
    world
        .stockade(&["rewind", "--changes", "live", "start"])?
        .expect(0)?;
    ensure!(
        shown()? == before,
        "after the rewind: {} instead of {before}",
        shown()?
    );
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(
        shown()? == after,
        "after the undo: {} instead of {after}",
        shown()?
    );
    Ok(())
}

fn live_protected(world: &World) -> Verdict {
    const ATTACKS: [&str; 7] = [
        "mv .git x",
        "echo evil > .git/hooks/pre-commit",
        "rm -rf .git/hooks && mkdir .git/hooks",
        "echo '[core]' >> .git/config",
        "echo evil > .vscode/tasks.json",
        "mv .vscode x",
        "echo x > new && mv -f new .mcp.json",
    ];
    for name in [
        ".git/hooks/kept",
        ".git/config",
        ".git/HEAD",
        ".vscode/tasks.json",
        ".mcp.json",
        "plain",
    ] {
        world.file(&format!("work/{name}"), "host\n")?;
    }
    wait();
    for attack in ATTACKS {
        let before = outside(world, CONTENTS)?;
        let script = format!("({attack}) 2>/dev/null && echo done; rm -rf new x");
        let text = with_mode(world, "live", &script)?;
        ensure!(text.is_empty(), "{attack}: {text}");
        let later = outside(world, CONTENTS)?;
        ensure!(before == later, "{attack}: {before}\nlater: {later}");
    }
    // The controls: what is not protected is written, in the same directory, too; and outside an attack succeeds.
    with_mode(
        world,
        "live",
        "set -e; mv plain moved; echo x > .git/index; echo x > moved",
    )?;
    ensure!(
        world.path("work/.git/index").exists(),
        "nothing could be written at all"
    );
    for attack in ATTACKS {
        let script = format!(
            "rm -rf ../outside/copy; cp -a . ../outside/copy; cd ../outside/copy; ({attack}) && echo done"
        );
        let text = outside(world, &script)?;
        ensure!(text == "done\n", "outside, too, it fails: {attack}");
    }
    Ok(())
}

fn read_only(world: &World) -> Verdict {
    prepare(world)?;
    let outside = outside(
        world,
        "find . ! -name attack | sort; cat changed directory/inner; readlink link",
    )?;
    let before = Tree::of(&world.work());
    let script = "find . ! -name attack | sort; cat changed directory/inner; readlink link; \
                  for word in 'echo x > changed' 'echo x >> changed' 'echo x > new' 'rm deleted' 'mkdir made' \
                  'mv kept moved' 'mv directory moved' 'ln kept hard' 'ln -s kept soft' 'rm -r directory' \
                  'touch kept' 'truncate -s 0 kept' 'mkfifo pipe'; do sh -c \"$word\" 2>/dev/null && echo \"REACHED $word\"; done; \
                  echo own > $HOME/own && cat $HOME/own";
    let inside = with_mode(world, "ro", script)?;
    ensure!(
        inside == format!("{outside}own\n"),
        "inside: {inside}\noutside: {outside}"
    );
    let later = Tree::of(&world.work());
    ensure!(before == later, "it changed:{}", before.differences(&later));
    let named = world.stockade(&["changes"])?.expect(0)?.text();
    ensure!(!named.contains("changed"), "there are changes: {named}");
    Ok(())
}

fn none(world: &World) -> Verdict {
    prepare(world)?;
    let path = world.path("work/directory").display().to_string();
    let sandbox = world.sandbox().flags(&["--workspace-mode", "none"]);
    let finished = sandbox.shell(&format!(
        "test -d / && echo control; test -e {path} && echo REACHED; ls {path} 2>&1; pwd"
    ))?;
    let text = finished.expect(0)?.text();
    ensure!(
        text.starts_with("control\n") && !text.contains("REACHED") && !text.contains("inner"),
        "{text}"
    );
    Ok(())
}

fn none_files(world: &World) -> Verdict {
    prepare(world)?;
    let before = Tree::of(&world.work());
    let path = world.work().display().to_string();
    let sandbox = world.sandbox().flags(&["--workspace-mode", "none"]);
    let script = format!(
        "echo own > $HOME/own && cat $HOME/own; cat {path}/changed; echo x > {path}/changed; echo x > {path}/new; \
         rm -f {path}/deleted; exit 0"
    );
    sandbox.shell(&script)?.expect_text("own")?;
    let later = Tree::of(&world.work());
    ensure!(before == later, "it changed:{}", before.differences(&later));
    Ok(())
}
