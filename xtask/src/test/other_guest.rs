//! The conformance suite once more where the guest is a program of its own: the programs as
//! `dist` lays them out, and those groups whose behaviour is the guest's.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::suites::{fresh_file, run_program};
use super::{Report, Stage};
use crate::dist;
use crate::summary::Counts;

/// Groups of the suite in which the guest has a part, without those that take long.
const GROUPS: [&str; 10] = [
    "exits",
    "streams",
    "environment",
    "sessions",
    "endings",
    "guest",
    "posture",
    "terminal",
    "hostile",
    "privileges",
];

/// Runs those groups.
pub fn conformance(stage: &mut Stage) -> Result<Report> {
    let program = dist::run(stage.tree)?;
    let suite = stage
        .tests()?
        .into_iter()
        .find(|test| test.name == "conformance")
        .context("cargo built no conformance suite")?;
    let logs = stage.tree.logs()?;
    let skips = logs.join("guest.skips");
    let results = logs.join("guest-results");
    let mut total = Report::default();
    for group in GROUPS {
        let mut command = Command::new(&suite.path);
        command
            // One guest serves all drivers; those with directories to bring would do so for each group.
            .args(["--driver", "native"])
            .arg(format!("{group}::"))
            .env("STOCKADE_BIN", &program)
            .env("STOCKADE_SKIP_LOG", &skips)
            // What the matrix shows comes from the suite as a whole.
            .env("STOCKADE_RESULTS", &results);
        fresh_file(&skips)?;
        let report = run_program(stage, &mut command, &skips, &format!("guest-{group}"))?;
        ensure!(
            report.counts != Counts::default(),
            "the suite has no group {group}"
        );
        total.add(report);
    }
    Ok(total)
}
