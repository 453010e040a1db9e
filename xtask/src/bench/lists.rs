//! What a long history and many live sandboxes cost whoever asks for a list.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use super::measure::{Contender, interleaved, median};
use super::place::Place;
use super::rows::Row;

/// Ended sandboxes in the state directory.
const FINISHED: &str = "10000";
const LS_MS: f64 = 500.0;
const TOP_MS: f64 = 50.0;
/// `top --once` looks twice, with this between.
const BETWEEN_LOOKS_MS: f64 = 200.0;

/// Lists of those that ended, then a look at those that live.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    // A state of its own: ten thousand records would slow down the other sections.
    let place = Place::make(bench.place.program.clone())?;
    let filled = Command::new(&bench.finished_sandboxes)
        .arg(place.state())
        .arg(FINISHED)
        .status()?;
    ensure!(filled.success(), "the state directory cannot be filled: {filled}");
    let mut rows = Vec::new();
    let listed = time(&place, bench.runs, &["ls"])?;
    rows.push(Row::new(&of_ended("ls"), listed, "ms").at_most(LS_MS));
    let collected = time(&place, bench.runs, &["gc"])?;
    rows.push(Row::new(&of_ended("gc"), collected, "ms"));
    let sandboxes = super::live::start(bench)?;
    // The start of the program counts as well, so a refresh takes less.
    let look = (time(&bench.place, bench.runs, &["top", "--once"])? - BETWEEN_LOOKS_MS) / 2.0;
    let what = format!("one look of top at {} live sandboxes", sandboxes.len());
    rows.push(Row::new(&what, look, "ms").at_most(TOP_MS));
    Ok(rows)
}

fn of_ended(command: &str) -> String {
    format!("{command} with {FINISHED} ended sandboxes")
}

fn time(place: &Place, runs: usize, arguments: &'static [&'static str]) -> Result<f64> {
    let place = place.clone();
    let contender = Contender::new(arguments[0], move || place.stockade(arguments));
    let times = interleaved(&[contender], runs, Duration::ZERO)?;
    Ok(times.first().map_or(f64::NAN, |times| median(times)))
}
