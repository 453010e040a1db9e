//! The steps, as data, and those that are checks of one program each.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Report, Stage, Step, battery, other_guest, readme, suites};
use crate::process::{self, Stream};
use crate::{Findings, build, dist, generated, imports, mutants, setup, shape, user, words};

/// In the order in which they run: cheap checks first, so that they fail first.
pub const STEPS: &[Step] = &[
    Step {
        name: "setup",
        shows: "what the tests need is there",
        run: set_up,
    },
    Step {
        name: "fmt",
        shows: "the code is formatted",
        run: fmt,
    },
    Step {
        name: "shape",
        shows: "files and functions are small, unsafe is where it belongs",
        run: check_shape,
    },
    Step {
        name: "imports",
        shows: "crates and modules import as drawn",
        run: check_imports,
    },
    Step {
        name: "words",
        shows: "the tree names no machine",
        run: check_words,
    },
    Step {
        name: "clippy",
        shows: "no lint complains",
        run: clippy,
    },
    Step {
        name: "fuzz",
        shows: "the fuzzers compile, with the versions in their lock file",
        run: fuzzers,
    },
    Step {
        name: "release",
        shows: "the release program builds and is static",
        run: release,
    },
    Step {
        name: "generated",
        shows: "man pages and completions are those of the program",
        run: check_generated,
    },
    Step {
        name: "readme",
        shows: "the README's first command does what it says",
        run: readme::command,
    },
    Step {
        name: "tests",
        shows: "unit, integration and conformance tests, as this user",
        run: suites::as_this_user,
    },
    Step {
        name: "guest",
        shows: "what the guest does is the same where it is a program of its own",
        run: other_guest::conformance,
    },
    Step {
        name: "battery",
        shows: "what the drivers claim holds against the probes",
        run: battery::as_this_user,
    },
    Step {
        name: "battery-user",
        shows: "the same as an ordinary user",
        run: battery::as_test_user,
    },
    Step {
        name: "mutants",
        shows: "the probes notice when a protection is missing",
        run: mutants,
    },
    Step {
        name: "user",
        shows: "integration and conformance tests, as an ordinary user",
        run: suites::as_test_user,
    },
];

const CHECK_LIMIT: Duration = Duration::from_secs(40 * 60);
/// Lines of a failed check that are shown; the log has all.
const SHOWN: usize = 60;

fn set_up(_: &mut Stage) -> Result<Report> {
    setup::run()?;
    Ok(Report::passed())
}

fn fmt(stage: &mut Stage) -> Result<Report> {
    let mut command = stage.tree.cargo();
    command.args(["fmt", "--all", "--check", "--", "--color", "never"]);
    one(stage, "fmt", &mut command)
}

fn clippy(stage: &mut Stage) -> Result<Report> {
    let mut command = stage.tree.cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    one(stage, "clippy", &mut command)
}

/// Whether they compile: running them takes a nightly compiler and as long as one likes. They are no
/// part of the workspace, so nothing else would notice.
fn fuzzers(stage: &mut Stage) -> Result<Report> {
    let mut command = stage.tree.cargo();
    command
        .args([
            "check",
            "--locked",
            "--bins",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ])
        .env("CARGO_TARGET_DIR", stage.tree.target.join("fuzz"));
    one(stage, "fuzz", &mut command)
}

fn check_shape(stage: &mut Stage) -> Result<Report> {
    Ok(findings(shape::check(stage.tree)?))
}

fn check_imports(stage: &mut Stage) -> Result<Report> {
    Ok(findings(imports::check(stage.tree)?))
}

fn check_words(stage: &mut Stage) -> Result<Report> {
    Ok(findings(words::check(stage.tree)?))
}

fn mutants(stage: &mut Stage) -> Result<Report> {
    if !user::is_root() {
        return Ok(Report::skipped("mutants", "not root: more walls refuse the same"));
    }
    Ok(findings(mutants::check(stage.tree)?))
}

fn release(stage: &mut Stage) -> Result<Report> {
    let program = stage.program()?;
    dist::check_static(&program)?;
    Ok(Report::passed())
}

fn check_generated(stage: &mut Stage) -> Result<Report> {
    let program = stage.program()?;
    Ok(match generated::stale(stage.tree, &program)? {
        stale if stale.is_empty() => Report::passed(),
        stale => Report::failed(stale),
    })
}

fn findings(findings: Findings) -> Report {
    if findings.problems.is_empty() {
        println!("    {}", findings.looked_at);
        Report::passed()
    } else {
        Report::failed(findings.problems)
    }
}

/// Runs one program whose exit code says all.
fn one(stage: &Stage, name: &str, command: &mut Command) -> Result<Report> {
    let log = stage.tree.logs()?.join(format!("{name}.log"));
    let mut said = Vec::new();
    let mut see = |_: Stream, line: &str| {
        if !build::is_progress(line) {
            said.push(line.to_owned());
        }
    };
    let finished = process::run(command, &log, CHECK_LIMIT, &mut see)?;
    let Some(problem) = finished.problem() else {
        return Ok(Report::passed());
    };
    said.iter().take(SHOWN).for_each(|line| println!("    {line}"));
    Ok(Report::failed(vec![format!("{name}: {problem}")]))
}
