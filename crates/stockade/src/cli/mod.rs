//! The command line: a front of [`crate::service`]. It parses, calls, prints.

pub mod args;
mod changes;
mod exec;
mod gc;
mod generate;
mod overrides;
mod policy;
mod run;
mod sandboxes;

use clap::Parser;

use crate::failure::Failure;
use crate::report;
use args::{Cli, Command, PolicyCommand};

/// The exit code for what Stockade itself could not do.
const FAILED: i32 = 125;

/// The exit code, or why there is none but [`FAILED`].
type Result = std::result::Result<i32, Failure>;

/// Runs the program.
pub fn main() -> i32 {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command).unwrap_or_else(|failure| tell(&failure)),
        Err(help_or_mistake) => {
            // Help goes to standard output and is no failure; a mistake in the flags is
            // Stockade refusing, and not 2, which the command itself could return.
            let _ = help_or_mistake.print();
            if help_or_mistake.use_stderr() { FAILED } else { 0 }
        }
    }
}

fn dispatch(command: Command) -> Result {
    match command {
        Command::Run(args) => run::run(*args),
        Command::Exec(args) => exec::exec(args),
        Command::Ls(args) => sandboxes::ls(&args),
        Command::Stop(args) => sandboxes::stop(&args),
        Command::Rm(args) => sandboxes::rm(&args),
        Command::Changes(args) => changes::changes(&args),
        Command::Policy(args) => match args.command {
            PolicyCommand::Check(args) => policy::check(&args),
        },
        Command::Gc(args) => gc::gc(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}

/// Says what failed, why and what to do; returns the exit code.
fn tell(failure: &Failure) -> i32 {
    report::error(&failure.to_string());
    failure.code()
}
