//! `bench`: Stockade beside other programs, in one run, on one machine.
//!
//! Figures come as medians and as ratios to what ran interleaved with them: a busy or slow
//! machine moves both. They never fail the command. What fails it is a program that does
//! not hold its wall: the figures of a broken wall are worth nothing.

mod audit;
mod changes;
mod detached;
mod drivers;
mod guard;
mod lists;
mod live;
mod loops;
mod many;
mod measure;
mod peers;
mod place;
mod rows;
mod start;

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, bail, ensure};

use crate::build;
use crate::tree::Tree;
use place::Place;
use rows::Row;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Samples of each figure
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Sandboxes that live at the same time in the section `live`
    #[arg(long, default_value_t = 200)]
    live: usize,
    /// Measure these sections only (the deny test is always made)
    #[arg(long, value_name = "SECTION")]
    only: Vec<String>,
    /// Name the sections and end
    #[arg(long)]
    list: bool,
}

/// One group of figures.
struct Section {
    name: &'static str,
    shows: &'static str,
    measure: fn(&Bench) -> Result<Vec<Row>>,
}

/// What sections work on.
struct Bench {
    place: Place,
    /// The library's example that runs many commands over one connection.
    open_connection: PathBuf,
    /// The one that fills a state directory.
    finished_sandboxes: PathBuf,
    runs: usize,
    live: usize,
}

const SECTIONS: &[Section] = &[
    Section {
        name: "start",
        shows: "wall time of a whole run of /bin/true",
        measure: start::cold,
    },
    Section {
        name: "drivers",
        shows: "the same of the drivers that an ordinary user has",
        measure: drivers::measure,
    },
    Section {
        name: "exec",
        shows: "one more command in a live sandbox",
        measure: start::exec,
    },
    Section {
        name: "many",
        shows: "many creations at once and in a row",
        measure: many::measure,
    },
    Section {
        name: "attach",
        shows: "coming back to a detached sandbox",
        measure: detached::attach,
    },
    Section {
        name: "idle",
        shows: "processor time of a supervisor with nothing to do",
        measure: detached::idle,
    },
    Section {
        name: "audit",
        shows: "recording the starts of a build",
        measure: audit::measure,
    },
    Section {
        name: "live",
        shows: "memory of live sandboxes",
        measure: live::measure,
    },
    Section {
        name: "lists",
        shows: "ls and gc with many ended sandboxes, top with many live ones",
        measure: lists::measure,
    },
    Section {
        name: "changes",
        shows: "a project of 50,000 files: start, diff, checkpoint, apply",
        measure: changes::measure,
    },
    Section {
        name: "loops",
        shows: "cost of system calls and file reads inside",
        measure: loops::measure,
    },
];

/// Measures, prints a table and writes `bench.json` into the target directory.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    if options.list {
        SECTIONS
            .iter()
            .for_each(|section| println!("{:8} {}", section.name, section.shows));
        return Ok(());
    }
    ensure!(options.runs > 0, "--runs must be at least 1");
    let unknown = options
        .only
        .iter()
        .find(|name| !SECTIONS.iter().any(|section| section.name == **name));
    if let Some(name) = unknown {
        bail!("there is no section {name}: see --list");
    }
    let program = build::release(tree)?;
    let bench = Bench {
        place: Place::make(program)?,
        open_connection: build::example(tree, "stockade-host", "open_connection")?,
        finished_sandboxes: build::example(tree, "stockade-host", "finished_sandboxes")?,
        runs: options.runs,
        live: options.live,
    };
    println!(
        "denied inside, done outside: {}",
        guard::check(&bench.place)?.join(", ")
    );
    let mut rows = Vec::new();
    for section in SECTIONS
        .iter()
        .filter(|s| options.only.is_empty() || options.only.iter().any(|n| n == s.name))
    {
        println!("measuring {}: {}", section.name, section.shows);
        match (section.measure)(&bench) {
            Ok(measured) => rows.extend(measured.into_iter().map(|row| row.of(section.name))),
            Err(error) => rows.push(Row::not_measured(section.shows, &format!("{error:#}")).of(section.name)),
        }
    }
    // The same program, after the figures: the wall that was timed is the wall that holds.
    guard::check(&bench.place)?;
    if !bench
        .place
        .stockade(&["gc"])
        .stdout(Stdio::null())
        .status()?
        .success()
    {
        println!("`stockade gc` failed: see what it says above, something may be left");
    }
    println!("{}", rows::table(&rows));
    let file = tree.target.join("bench.json");
    std::fs::write(
        &file,
        serde_json::to_vec_pretty(&rows::document(&rows, options.runs))?,
    )?;
    println!("written to {}", file.display());
    Ok(())
}
