//! Work with git inside, taken over outside: behind every wall the same.

use std::path::Path;

use stockade_conformance::{Ability, Behaviour, Verdict, World, ensure, fail, program, run, skip};

const GIT: &[Ability] = &[Ability::Modes];

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "git-forward",
        "commits, tags and what is checked out come out as they are inside, and go back with an undo",
        forward,
    )
    .uses(GIT),
    Behaviour::test(
        "git-beside",
        "where the host moved its branch meanwhile, commits come out beside it",
        beside,
    )
    .uses(GIT),
    Behaviour::test(
        "git-rebase",
        "a branch that was rebased inside moves only after a yes",
        rebase,
    )
    .uses(GIT),
    Behaviour::test(
        "git-hostile",
        "nothing that a repository from inside names is executed by our own tools outside",
        hostile,
    )
    .uses(GIT),
    Behaviour::test(
        "git-worktree",
        "in a linked worktree files come out, and the repository that it belongs to is not written",
        worktree,
    )
    .uses(GIT),
    Behaviour::test(
        "git-file",
        "a `.git` that became a file which leads elsewhere is held back",
        git_file,
    )
    .uses(GIT),
];

const IDENTITY: &str = "[user]\nname = Test\nemail = test@example.invalid\n[init]\ndefaultBranch = main\n";

/// Files of the host get their times by a clock that moves in ticks.
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(25));
}

fn git_in(world: &World, directory: &Path, words: &[&str]) -> Verdict<run::Finished> {
    let mut command = world.command(Path::new("git"));
    command.args(words).current_dir(directory);
    command.env("GIT_CEILING_DIRECTORIES", world.path(""));
    run::finish(command, Vec::new(), None)
}

/// Git on the host, as its user runs it.
fn git(world: &World, words: &[&str]) -> Verdict<String> {
    let text = git_in(world, &world.work(), words)?.expect(0)?.text();
    Ok(text.trim_end().to_owned())
}

/// A project with one commit on `main`.
fn prepare(world: &World) -> Verdict {
    if program::find("git").is_none() {
        return skip("git is missing");
    }
    world.file("home/.gitconfig", IDENTITY)?;
    git(world, &["init", "-q"])?;
    world.file("work/a", "1\n2\n3\n")?;
    world.file("work/b", "1\n")?;
    git(world, &["add", "."])?;
    git(world, &["commit", "-qm", "first"])?;
    wait();
    Ok(())
}

fn inside(world: &World, script: &str) -> Verdict<String> {
    let text = world.shell(&format!("set -e; {script}"))?.expect(0)?.text();
    wait();
    Ok(text.trim_end().to_owned())
}

fn apply(world: &World, words: &[&str], code: i32) -> Verdict<String> {
    let finished = world.stockade(&[&["apply"], words].concat())?.expect(code)?;
    git(world, &["fsck", "--full", "--strict", "--no-dangling"])?;
    Ok(finished.all())
}

fn forward(world: &World) -> Verdict {
    prepare(world)?;
    let state = || -> Verdict<[String; 2]> {
        let refs = git(world, &["for-each-ref", "--format=%(refname) %(objectname)"])?;
        Ok([refs, git(world, &["status", "--porcelain", "-b"])?])
    };
    let before = state()?;
    let told = inside(
        world,
        "echo 4 >> a; git commit -qam four; echo n > n; git add n; git commit -qm new; git tag v1; \
         git checkout -qb feature; git rev-parse HEAD v1; git status --porcelain -b",
    )?;
    ensure!(state()? == before, "the host's branches moved by themselves");
    apply(world, &["--all"], 0)?;
    let outside =
        git(world, &["rev-parse", "HEAD", "v1"])? + "\n" + &git(world, &["status", "--porcelain", "-b"])?;
    ensure!(outside == told, "inside: {told}\noutside: {outside}");
    ensure!(
        git(world, &["log", "--format=%s", "main"])? == "new\nfour\nfirst",
        "main did not move"
    );
    world.stockade(&["undo"])?.expect(0)?;
    ensure!(
        state()? == before,
        "after the undo: {:?} instead of {before:?}",
        state()?
    );
    Ok(())
}

fn beside(world: &World) -> Verdict {
    prepare(world)?;
    inside(world, "echo 2 >> b; git commit -qam inside")?;
    world.file("work/h", "host\n")?;
    git(world, &["add", "h"])?;
    git(world, &["commit", "-qm", "host"])?;
    let said = apply(world, &["--all"], 1)?;
    ensure!(
        said.contains("not moved, because the host moved it meanwhile"),
        "{said}"
    );
    ensure!(
        git(world, &["log", "--format=%s", "main"])? == "host\nfirst",
        "the host's branch was moved"
    );
    let branch = git(
        world,
        &["for-each-ref", "--format=%(refname:short)", "refs/heads/stockade"],
    )?;
    ensure!(
        git(world, &["log", "--format=%s", &branch])? == "inside\nfirst",
        "what was committed inside is not at {branch:?}"
    );
    Ok(())
}

fn rebase(world: &World) -> Verdict {
    prepare(world)?;
    git(world, &["checkout", "-qb", "topic"])?;
    world.file("work/t", "topic\n")?;
    git(world, &["add", "t"])?;
    git(world, &["commit", "-qm", "topic"])?;
    git(world, &["checkout", "-q", "main"])?;
    world.file("work/b", "2\n")?;
    git(world, &["commit", "-qam", "second"])?;
    git(world, &["checkout", "-q", "topic"])?;
    wait();
    let told = inside(world, "git rebase -q main; git log --format=%s")?;
    ensure!(told == "topic\nsecond\nfirst", "{told}");
    let log = || git(world, &["log", "--format=%s", "topic"]);
    world.stockade(&["apply", "--safe"])?.expect(1)?;
    ensure!(log()? == "topic\nfirst", "--safe moved it");
    let said = apply(world, &["--all"], 0)?;
    ensure!(log()? == told, "{}: {said}", log()?);
    ensure!(
        git(world, &["status", "--porcelain"])?.is_empty(),
        "the tree is not clean"
    );
    Ok(())
}

/// Programs that git would run on the host.
const TRAPS: &str = "echo 2 >> a; git commit -qam work; \
    printf '#!/bin/sh\\ntouch CANARY\\ncat\\n' > .git/evil; chmod +x .git/evil; \
    git config core.fsmonitor \"WORK/.git/evil\"; git config filter.evil.clean \"WORK/.git/evil\"; \
    git config core.pager \"WORK/.git/evil\"; git config diff.external \"WORK/.git/evil\"; \
    git config includeIf.gitdir:/.path \"WORK/.git/more\"; echo '* filter=evil' > .gitattributes; \
    mkdir -p .git/hooks; for hook in post-checkout reference-transaction post-index-change; do cp .git/evil .git/hooks/$hook; done";

fn hostile(world: &World) -> Verdict {
    prepare(world)?;
    let canary = world.path("outside/canary");
    let script = TRAPS.replace("CANARY", &canary.display().to_string());
    inside(
        world,
        &script.replace("WORK", &world.work().display().to_string()),
    )?;
    for words in [
        &["diff"][..],
        &["diff", "--stat"],
        &["diff", "--html", "-"],
        &["diff", "--patch", "-"],
        &["changes"],
        &["checkpoint"],
        &["apply", "--dry-run", "--all"],
        &["apply", "--all", "--ignored"],
        &["undo"],
        &["apply", "--all", "--ignored"],
    ] {
        let finished = world.stockade(words)?;
        ensure!(matches!(finished.code, 0 | 1), "{words:?}: {}", finished.all());
        ensure!(!canary.exists(), "{words:?} executed what the repository names");
    }
    // The control: git itself obeys what was applied now.
    git_in(world, &world.work(), &["status"])?;
    ensure!(canary.exists(), "the traps are none");
    Ok(())
}

fn worktree(world: &World) -> Verdict {
    prepare(world)?;
    let main = world.path("outside/main");
    std::fs::rename(world.work(), &main)?;
    let work = world.work().display().to_string();
    git_in(world, &main, &["worktree", "add", "-q", "-b", "linked", &work])?.expect(0)?;
    wait();
    let refs =
        || Ok::<_, stockade_conformance::Stop>(git_in(world, &main, &["for-each-ref"])?.expect(0)?.text());
    let before = refs()?;
    let told = inside(
        world,
        "echo 6 >> a; git commit -qam x 2>/dev/null && echo REACHED; echo done",
    )?;
    ensure!(told == "done", "a commit inside: {told}");
    world.stockade(&["apply", "--all"])?.expect(0)?;
    ensure!(refs()? == before, "the repository was written");
    let status = git(world, &["status", "--porcelain", "-b"])?;
    ensure!(status == "## linked\n M a", "{status}");
    Ok(())
}

fn git_file(world: &World) -> Verdict {
    prepare(world)?;
    let canary = world.path("outside/canary");
    // A repository of the attacker's, beside; whoever enters the project with git would be led there.
    let evil = format!(
        "git init -q evil; git -C evil config core.fsmonitor 'touch {}; false'; mv .git kept; \
         echo 'gitdir: evil/.git' > .git; echo 1 > plain",
        canary.display()
    );
    inside(world, &evil)?;
    let finished = world.stockade(&["apply", "."])?.expect(1)?;
    ensure!(
        world.path("work/plain").exists(),
        "nothing arrived: {}",
        finished.all()
    );
    ensure!(
        world.path("work/.git").is_dir(),
        "the repository was exchanged unasked: {}",
        finished.all()
    );
    git(world, &["status"])?;
    ensure!(!canary.exists(), "git was led elsewhere");
    for words in [&["diff"][..], &["diff", "--stat"], &["apply", "--safe"]] {
        let finished = world.stockade(words)?;
        if finished.code > 1 {
            return fail(format!("{words:?}: {}", finished.all()));
        }
    }
    ensure!(!canary.exists(), "our own tools were led elsewhere");
    Ok(())
}
