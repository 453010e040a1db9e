//! Real work from its beginning to its end, as a person at a terminal does it: cloned, installed,
//! built and committed inside, reviewed, taken over in parts and taken back outside.

mod build;
mod project;

use stockade_conformance::tree::Tree;
use stockade_conformance::{Ability, Behaviour, Verdict, World, ensure};

use project::{PACKAGES, Project};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "journey",
        "a clone, an install of 20,000 files, a rebase and commits are reviewed, taken over in parts and taken back",
        journey,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "journey-cargo",
        "what cargo builds inside is kept for the next build, folded in a review and left out of an apply",
        build::cargo,
    )
    .uses(&[Ability::Modes, Ability::OwnLinks]),
];

/// Writes packages as npm does, each with a program that runs when it is installed.
const INSTALL: &str = r#"
import os
for package in range(200):
    root = f"node_modules/package-{package}"
    for part in range(10):
        os.makedirs(f"{root}/lib/{part}")
        for file in range(10):
            with open(f"{root}/lib/{part}/{file}.js", "w") as out:
                out.write(f"module.exports = {package * 100 + part * 10 + file}\n")
"#;

/// A branch is put on top of another, goes on, and something is left uncommitted.
const DEVELOP: &str = "set -e; git checkout -q feature; git rebase -q main; \
    sed -i '50s/.*/50 inside/' merges clashes beside; git mv src/m2/f3.rs src/m2/moved.rs; git commit -qam 'Change it'; \
    echo 'fn new() {}' > src/m1/new.rs; git add src/m1/new.rs; git commit -qm 'Add a file'; \
    echo uncommitted > src/m1/draft.rs; rm src/m5/f1.rs; rm -r src/m4; echo 4 > src/m4; \
    mkdir -p .vscode; echo '{}' > .vscode/tasks.json; printf '#!/bin/sh\\n' > .git/hooks/pre-push; chmod 755 .git/hooks/pre-push; \
    git log --format=%s";

fn journey(world: &World) -> Verdict {
    let mut project = Project::begin(world)?;
    clones(&mut project)?;
    develops(&project)?;
    let review = reviews(&project)?;
    let edited = project.edit_outside()?;
    takes_over(&mut project)?;
    takes_back(&mut project, &edited)?;
    // All of it waits again, as it was first shown; but for the conflicts, which are first now.
    let again = project.diff(&["--stat"])?;
    let files = |text: &str| text.lines().filter(|line| line.contains(" | ")).count();
    ensure!(files(&again) == files(&review), "first:\n{review}\nnow:\n{again}");
    project.stockade(&["discard", "--yes"], 0)?;
    project.is(&edited)?;
    ensure!(
        project.diff(&["--name-only"])?.is_empty(),
        "something is still pending"
    );
    Ok(())
}

/// The project begins as a clone that is made inside.
fn clones(project: &mut Project) -> Verdict {
    project.inside(&format!(
        "git clone -q {} . && git branch -q feature origin/feature",
        project.origin()
    ))?;
    let shown = project.diff(&["--stat"])?;
    ensure!(shown.contains("main: new"), "no new branch in {shown}");
    project.take(
        &["--all"],
        0,
        &["main: made (2 new commits)", "what is checked out: made"],
    )?;
    ensure!(
        project.git(&["status", "--porcelain"])?.is_empty(),
        "the clone is not clean"
    );
    project.git(&["fsck", "--strict"])?;
    Ok(())
}

fn develops(project: &Project) -> Verdict {
    let finished = project.python(INSTALL)?;
    ensure!(
        finished.stderr.contains(&format!("· {PACKAGES} files changed")),
        "not {PACKAGES} files: {}",
        finished.stderr
    );
    let finished = project.inside(&format!("ls node_modules | wc -l; {DEVELOP}"))?;
    ensure!(
        finished
            .stderr
            .contains(&format!("continuing {PACKAGES} unapplied changes")),
        "{}",
        finished.stderr
    );
    ensure!(
        finished.text() == "200\nAdd a file\nChange it\nAppend to the list\nGo on\nBegin\n",
        "{}",
        finished.all()
    );
    Ok(())
}

/// Returns what is shown.
fn reviews(project: &Project) -> Verdict<String> {
    let shown = project.diff(&["--stat"])?;
    let at = |text: &str| shown.find(text).unwrap_or(usize::MAX);
    let in_order = [
        "! look at these first",
        "! A .git/hooks/pre-push",
        "! A .vscode/tasks.json",
        "feature: REWRITTEN",
        "checked out: main → feature",
        "src/m1/draft.rs",
    ];
    ensure!(
        in_order.iter().map(|text| at(text)).is_sorted() && at(in_order[5]) != usize::MAX,
        "not in this order: {in_order:?}\n{shown}"
    );
    ensure!(
        shown.contains(&format!("# node_modules: {PACKAGES} files changed")) && !shown.contains("/0.js"),
        "the packages are not one line: {shown}"
    );
    let page = project.world.path("outside/review.html");
    project.diff(&["--html", &page.display().to_string()])?;
    let page = std::fs::read_to_string(page)?;
    for text in ["pre-push", "Add a file", "node_modules", "draft.rs"] {
        ensure!(page.contains(text), "the page has no {text}");
    }
    project.stockade(&["apply", "--safe"], 1)?;
    Ok(shown)
}

/// In parts, with conflicts of each kind, and then the rest with the commits.
fn takes_over(project: &mut Project) -> Verdict {
    project.take(&["src/m1"], 0, &["applied 2 changes"])?;
    project.take(
        &["--ignored", "node_modules/package-7"],
        0,
        &["applied 113 changes"],
    )?;
    // Nobody is overwritten: each side is shown, and all three wait.
    let before = project.tree();
    let finished = project.stockade(&["apply", "merges", "clashes", "beside"], 1)?;
    finished.complains(&[
        "3 changes held back",
        "merges (",
        "clashes (",
        "beside (",
        "50 inside",
        "50 outside",
    ])?;
    project.is(&before)?;
    project.take(&["--conflicts", "merge", "merges"], 0, &["applied 1 change "])?;
    project.reads("merges", &["1 outside", "50 inside"])?;
    project.take(
        &["--conflicts", "mark", "clashes"],
        1,
        &["conflict markers in 1 place"],
    )?;
    project.reads("clashes", &["<<<<<<<", "50 outside", "50 inside"])?;
    project.take(&["--conflicts", "beside", "beside"], 0, &["applied 1 change "])?;
    project.reads("beside.stockade", &["50 inside"])?;
    project.take(&["--all"], 0, &["feature", "files in what git ignores left out"])?;
    let subjects = project.git(&["log", "--format=%s", "feature"])?;
    ensure!(subjects.starts_with("Add a file\nChange it\n"), "{subjects}");
    ensure!(
        project.git(&["branch", "--show-current"])? == "feature\n",
        "main is checked out"
    );
    project.git(&["fsck", "--strict", "--no-dangling"])?;
    Ok(())
}

/// Level by level, to the very tree; not over what somebody did outside since.
fn takes_back(project: &mut Project, edited: &Tree) -> Verdict {
    while project.levels() > 1 {
        project.undo()?;
    }
    let refused = project.stockade(&["undo"], 125)?;
    refused.complains(&["merges", "clashes", "beside"])?;
    project.is(edited)
}
