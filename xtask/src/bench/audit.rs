//! What recording each start of a program costs a build.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::measure::{Contender, median};
use super::place::Place;
use super::rows::Row;

/// Each is compiled by three programs: the driver, the compiler and the assembler.
const SOURCES: usize = 1_700;
const STARTS: usize = 5_000;
/// To the same build without recording.
const BAR: f64 = 1.03;
/// A build takes long enough to tell with few.
const MAX_RUNS: usize = 5;
const BUILD: [&str; 3] = ["make", "-s", "-j2"];

/// The same build with and without.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let place = Place::make(bench.place.program.clone())?;
    prepare(&place)?;
    let (plain, recorded) = (place.clone(), place.clone());
    let contenders = [
        Contender::new("a build", move || plain.run(&["-q", "--rm"], &BUILD)),
        Contender::new("a recorded build", move || {
            recorded.run(&["-q", "--rm", "--audit-processes"], &BUILD)
        }),
    ];
    // Warms the page cache. The recorded one comes last: it is the one that is counted.
    for contender in &contenders {
        contender.time()?;
    }
    let starts = recorded_starts(&place)?;
    ensure!(
        starts >= STARTS,
        "a build has {starts} recorded starts, not {STARTS}: the figure would be worth nothing"
    );
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..bench.runs.min(MAX_RUNS) {
        // Nobody always comes second.
        for index in [round % 2, (round + 1) % 2] {
            times[index].push(contenders[index].time()?.as_secs_f64() * 1000.0);
        }
    }
    let [plain, recorded] = times.map(|times| median(&times));
    let what = format!("a build that starts {starts} programs, each recorded");
    Ok(vec![
        Row::new(&what, recorded, "ms")
            .beside("the same without", plain)
            .at_most(BAR),
    ])
}

/// So many small files in C, and how they are compiled.
fn prepare(place: &Place) -> Result<()> {
    let workspace = place.workspace();
    let mut names = String::new();
    for number in 0..SOURCES {
        write!(names, " {number}.o")?;
        let source = format!("int f{number}(int a) {{ return a * {number}; }}\n");
        std::fs::write(workspace.join(format!("{number}.c")), source)?;
    }
    let rules = format!("all:{names}\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\n");
    std::fs::write(workspace.join("Makefile"), rules).context("writing the Makefile")
}

/// Of the last recorded build.
fn recorded_starts(place: &Place) -> Result<usize> {
    let arguments = ["audit", "show", "--last", "--kind", "process-started", "--json"];
    let shown = place.stockade(&arguments).output()?;
    ensure!(
        shown.status.success(),
        "the record cannot be read: {}",
        String::from_utf8_lossy(&shown.stderr).trim()
    );
    Ok(shown.stdout.iter().filter(|byte| **byte == b'\n').count())
}
