//! What a large project costs: to start in, to compare, to keep and to take over.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::measure::{Contender, interleaved, median};
use super::place::Place;
use super::rows::Row;

/// Files of the large project, and directories in which they are.
const FILES: usize = 50_000;
const DIRECTORIES: usize = 500;
const UNCHANGED: &str = "some lines\nof text\n";
/// What is changed for a comparison and a checkpoint, and for an apply.
const FEW: usize = 100;
const MANY: usize = 1_000;
const DIFF_MS: f64 = 100.0;
const APPLY_MS: f64 = 500.0;
const CHECKPOINT_MS: f64 = 50.0;
/// To a start in an empty project.
const START_RATIO: f64 = 1.05;
/// Samples of what needs changes of its own each time.
const MAX_FRESH: usize = 10;

/// Starts, comparisons, checkpoints and applies.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let program = &bench.place.program;
    let (empty, large) = (Place::make(program.clone())?, Place::make(program.clone())?);
    fill(&large.workspace()).context("making the large project")?;
    let mut rows = vec![start(bench, &empty, &large)?];
    change(&large, FEW)?;
    expect_pending(&large, FEW)?;
    let diff = contender("diff", &large, &["diff", "--stat"]);
    let times = interleaved(&[diff], bench.runs, Duration::ZERO)?;
    let middle = times.first().map_or(f64::NAN, |times| median(times));
    rows.push(Row::new(&format!("diff of {FILES} files, {FEW} changed"), middle, "ms").at_most(DIFF_MS));
    let runs = bench.runs.min(MAX_FRESH);
    let kept = fresh(&large, runs, FEW, &["checkpoint"])?;
    expect_pending(&large, FEW)?;
    rows.push(Row::new(&format!("checkpoint of {FEW} changed files"), kept, "ms").at_most(CHECKPOINT_MS));
    let applied = fresh(&large, runs, MANY, &["apply", "--all"])?;
    expect_applied(&large, MANY)?;
    rows.push(Row::new(&format!("apply of {MANY} files"), applied, "ms").at_most(APPLY_MS));
    Ok(rows)
}

fn start(bench: &Bench, empty: &Place, large: &Place) -> Result<Row> {
    const TRUE: [&str; 5] = ["run", "-q", "--rm", "--", "/bin/true"];
    let contenders = [contender("empty", empty, &TRUE), contender("large", large, &TRUE)];
    let times = interleaved(&contenders, bench.runs, Duration::ZERO)?;
    let [empty, large] = [0, 1].map(|index| times.get(index).map_or(f64::NAN, |times| median(times)));
    let what = format!("start in a project of {FILES} files, to that in an empty one");
    Ok(Row::new(&what, large / empty, "x")
        .beside("large, ms", large)
        .beside("empty, ms", empty)
        .at_most(START_RATIO))
}

fn contender(name: &str, place: &Place, arguments: &'static [&'static str]) -> Contender {
    let place = place.clone();
    Contender::new(name, move || place.stockade(arguments))
}

/// The middle of times of a command, each after changes of its own.
fn fresh(place: &Place, runs: usize, files: usize, arguments: &'static [&'static str]) -> Result<f64> {
    let timed = contender(arguments[0], place, arguments);
    let mut times = Vec::new();
    for _ in 0..runs.max(1) {
        change(place, files)?;
        times.push(timed.time()?.as_secs_f64() * 1000.0);
    }
    Ok(median(&times))
}

/// That so many files are pending: else a figure would be of something else.
fn expect_pending(place: &Place, files: usize) -> Result<()> {
    let output = place.stockade(&["diff", "--name-only"]).output()?;
    let pending = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    ensure!(
        output.status.success() && pending == files,
        "{pending} files are pending, not {files}: the figure would be worth nothing; {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// That the last of so many files was taken over.
fn expect_applied(place: &Place, files: usize) -> Result<()> {
    expect_pending(place, 0)?;
    let last = files - 1;
    let file = place
        .workspace()
        .join(format!("{}/{}", last % DIRECTORIES, last / DIRECTORIES));
    let text = std::fs::read_to_string(&file)?;
    ensure!(text != UNCHANGED, "{} was not applied", file.display());
    Ok(())
}

/// Has a sandbox write so many files of the project anew.
fn change(place: &Place, files: usize) -> Result<()> {
    let script = format!(
        "i=0; while [ $i -lt {files} ]; do echo $$ $i $(date +%N) > $((i % {DIRECTORIES}))/$((i / {DIRECTORIES})); i=$((i + 1)); done"
    );
    let output = place.run(&["-q"], &["/bin/sh", "-c", &script]).output()?;
    ensure!(
        output.status.success(),
        "files cannot be changed in a sandbox: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn fill(project: &Path) -> std::io::Result<()> {
    for directory in 0..DIRECTORIES {
        let directory = project.join(directory.to_string());
        std::fs::create_dir(&directory)?;
        for file in 0..FILES / DIRECTORIES {
            std::fs::write(directory.join(file.to_string()), UNCHANGED)?;
        }
    }
    Ok(())
}
