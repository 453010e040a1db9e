//! The command line: a front of [`crate::service`]. It parses, calls, prints.

mod apply;
pub mod args;
mod ask;
mod attach;
mod audit;
mod changes;
mod checkpoint;
mod choose;
mod copy;
mod detached;
mod diff;
mod discard;
mod doctor;
mod exec;
mod gc;
mod generate;
mod help;
mod inspect;
mod lint;
mod logs;
mod overrides;
mod pager;
mod policy;
mod probe;
mod run;
mod sandboxes;
mod setup;
mod top;
mod verify;

use std::ffi::OsString;

use crate::failure::Failure;
use crate::report;
use crate::service;
use args::{Cli, Command, PolicyCommand, PresetCommand};

/// The exit code for what Stockade itself could not do.
const FAILED: i32 = 125;

/// The exit code, or why there is none but [`FAILED`].
type Result = std::result::Result<i32, Failure>;

/// Another front, which this one starts and does not know.
pub type Program = fn() -> Result;

/// Runs the program.
pub fn main(program: Program) -> i32 {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = doctor::trial(&words) {
        return code.unwrap_or_else(|failure| tell(&failure));
    }
    let is_shim = words.get(1).is_some_and(|word| word == service::detached::SHIM);
    if is_shim {
        words.remove(1);
    }
    match Cli::read(&words) {
        Ok(cli) if is_shim => supervise(cli.command).unwrap_or_else(|failure| tell(&failure)),
        Ok(cli) => dispatch(cli.command, program).unwrap_or_else(|failure| tell(&failure)),
        Err(help_or_mistake) => {
            // Help goes to standard output and is no failure; a mistake in the flags is
            // Stockade refusing, and not 2, which the command itself could return.
            let _ = help_or_mistake.print();
            if help_or_mistake.use_stderr() { FAILED } else { 0 }
        }
    }
}

fn dispatch(command: Command, program: Program) -> Result {
    match command {
        Command::Run(args) if args.detach && !args.sandbox.dry_run => detached::launch(args.json),
        Command::Run(args) => run::run(*args),
        Command::Create(args) => detached::create(&args),
        Command::Exec(args) => exec::exec(args),
        Command::Attach(args) => attach::attach(args),
        Command::Logs(args) => logs::logs(&args),
        Command::Cp(args) => copy::copy(&args),
        Command::Top(args) => top::top(&args),
        Command::Ls(args) => sandboxes::ls(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Pause(args) => sandboxes::pause(&args),
        Command::Resume(args) => sandboxes::resume(&args),
        Command::Stop(args) => sandboxes::stop(&args),
        Command::Rm(args) => sandboxes::rm(&args),
        Command::Apply(args) => apply::apply(&args),
        Command::Discard(args) => discard::discard(&args),
        Command::Undo(args) => apply::undo(&args),
        Command::Checkpoint(args) => checkpoint::checkpoint(&args),
        Command::Rewind(args) => checkpoint::rewind(&args),
        Command::Changes(args) => changes::changes(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Policy(args) => match args.command {
            PolicyCommand::Check(args) => policy::check(&args),
            PolicyCommand::Explain(args) => policy::explain(&args),
            PolicyCommand::Schema(_) => policy::schema(),
        },
        Command::Preset(args) => match args.command {
            PresetCommand::Ls(args) => policy::preset_ls(args.json),
            PresetCommand::Show(args) => policy::preset_show(&args),
        },
        Command::Audit(args) => audit::audit(&args),
        Command::Verify(args) => verify::verify(args),
        Command::Rpc(_) => program(),
        Command::Gc(args) => gc::gc(&args),
        Command::Choose(args) => choose::choose(&args),
        Command::Lint(args) => lint::lint(&args),
        Command::Probe(args) => probe::probe(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Setup(args) => setup::setup(&args),
        Command::Help(args) => help::help(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}

/// What a supervisor does that was started for a detached sandbox.
fn supervise(command: Command) -> Result {
    match command {
        Command::Run(args) => detached::supervise_run(*args),
        Command::Create(args) => detached::supervise_create(*args),
        _ => Ok(detached::not_a_command()),
    }
}

/// Says what failed, why and what to do; returns the exit code.
fn tell(failure: &Failure) -> i32 {
    report::error(&failure.to_string());
    failure.code()
}
