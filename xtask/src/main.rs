//! Stockade's development commands: `cargo xtask --help`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod build;
mod dist;
mod generated;
mod imports;
mod matrix;
mod measured;
mod mutants;
mod process;
mod setup;
mod shape;
mod summary;
mod test;
mod tree;
mod user;
mod vm;
mod words;

use tree::Tree;

/// Stockade's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need and make the ordinary user that they run as
    Setup,
    /// Run every check and every test; the last line counts them
    Test(test::Options),
    /// Check file and function sizes, and where unsafe code stands
    Shape,
    /// Check which crates and modules import which
    Imports,
    /// Check that the tree holds nothing that belongs to a machine
    Words,
    /// Write the man pages and shell completions from the program's own description
    Man {
        /// Compare only, and fail if a file is stale
        #[arg(long)]
        check: bool,
    },
    /// Write docs/matrix.md from the results of the conformance suite
    Matrix,
    /// Write what the battery showed into the README and docs/measured.md
    Measured,
    /// Attack sandboxes that lack one protection each, and write docs/mutants.md from what was noticed
    Mutants,
    /// Measure against other programs, side by side
    Bench(bench::Options),
    /// Boot an ordinary Debian in QEMU and run tests on it
    Vm,
    /// Build the release programs and check that they are static
    Dist,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let tree = Tree::find()?;
    match Arguments::parse().command {
        Command::Setup => setup::run()?,
        // Its last line counts: no error may follow it.
        Command::Test(options) => return test::run(&tree, &options),
        Command::Shape => report(&shape::check(&tree)?)?,
        Command::Imports => report(&imports::check(&tree)?)?,
        Command::Words => report(&words::check(&tree)?)?,
        Command::Man { check } => generated::run(&tree, check)?,
        Command::Matrix => matrix::write(&tree)?,
        Command::Measured => measured::write(&tree)?,
        Command::Mutants => mutants::write(&tree)?,
        Command::Bench(options) => bench::run(&tree, &options)?,
        Command::Vm => vm::command(&tree)?,
        Command::Dist => drop(dist::run(&tree)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a check of the tree found.
struct Findings {
    /// What was looked at, for the line that says all is well.
    looked_at: String,
    /// One line each: where, what, and what to do.
    problems: Vec<String>,
}

fn report(findings: &Findings) -> Result<()> {
    for problem in &findings.problems {
        println!("{problem}");
    }
    match findings.problems.len() {
        0 => {
            println!("ok: {}", findings.looked_at);
            Ok(())
        }
        count => anyhow::bail!("{count} problems"),
    }
}
