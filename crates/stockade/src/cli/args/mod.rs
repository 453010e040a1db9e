//! The command line as data: one type a command. Help, manual pages and completions follow from it.

mod apply;
mod audit;
mod changes;
mod checkpoint;
mod choose;
mod copy;
mod diff;
mod doctor;
mod exec;
mod gc;
mod generate;
mod help;
mod label;
mod lint;
mod policy;
mod probe;
mod program;
mod run;
mod sandboxes;
mod setup;
mod top;
mod verify;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use apply::{ApplyArgs, ConflictArg, DiscardArgs, UndoArgs};
pub use audit::{AuditArgs, AuditCommand, ShowArgs, VerifyArgs};
pub use changes::ChangesArgs;
pub use checkpoint::{CheckpointArgs, RewindArgs};
pub use choose::ChooseArgs;
pub use copy::CpArgs;
pub use diff::DiffArgs;
pub use doctor::DoctorArgs;
pub use exec::ExecArgs;
pub use gc::GcArgs;
pub use generate::{CompletionsArgs, ManArgs};
pub use help::HelpArgs;
pub use label::Label;
pub use lint::LintArgs;
pub use policy::{
    CheckArgs, ExplainArgs, LayerArg, PolicyArgs, PolicyCommand, PolicyFlags, PresetArgs, PresetCommand,
    PresetShowArgs,
};
pub use probe::ProbeArgs;
pub use program::RpcArgs;
pub use run::{
    AuditFlags, ChangeSetArgs, CreateArgs, LifeArgs, LimitArgs, RunArgs, SandboxArgs, TerminalArgs, ViewArgs,
    WorkspaceModeArg,
};
pub use sandboxes::{AttachArgs, InspectArgs, LogsArgs, LsArgs, PauseArgs, ResumeArgs, RmArgs, StopArgs};
pub use setup::SetupArgs;
pub use top::TopArgs;
pub use verify::EvidenceArgs;

/// Runs an AI agent, or any command, behind the strongest wall that this machine can prove
///
/// The command sees the project, copy-on-write, and the system, read-only. It does not see
/// your home, other processes or the network, and cannot use more than its limits.
#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
#[command(max_term_width = 100, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The one command whose start is counted in microseconds, without the others: describing all
/// of them to the parser takes longer than parsing.
#[derive(Debug, Parser)]
#[command(name = "stockade", disable_help_subcommand = true)]
struct RunOnly {
    #[command(subcommand)]
    command: RunCommand,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    Run(Box<RunArgs>),
}

impl Cli {
    /// Parses the command line.
    ///
    /// # Errors
    /// A mistake in it, or a call for help.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        if words.get(1).is_some_and(|word| word == "run")
            && let Ok(RunOnly {
                command: RunCommand::Run(args),
            }) = RunOnly::try_parse_from(words)
        {
            return Ok(Self {
                command: Command::Run(args),
            });
        }
        // Mistakes are told by the parser that knows everything.
        Self::try_parse_from(words)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<RunArgs>),
    Create(Box<CreateArgs>),
    Exec(ExecArgs),
    Attach(AttachArgs),
    Logs(LogsArgs),
    Cp(CpArgs),
    Ls(LsArgs),
    Top(TopArgs),
    Inspect(InspectArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Stop(StopArgs),
    Rm(RmArgs),
    Changes(ChangesArgs),
    Diff(DiffArgs),
    Apply(ApplyArgs),
    Discard(DiscardArgs),
    Undo(UndoArgs),
    Checkpoint(CheckpointArgs),
    Rewind(RewindArgs),
    Policy(PolicyArgs),
    Preset(PresetArgs),
    Audit(AuditArgs),
    Verify(EvidenceArgs),
    Rpc(RpcArgs),
    Gc(GcArgs),
    Probe(ProbeArgs),
    Choose(ChooseArgs),
    Lint(LintArgs),
    Doctor(DoctorArgs),
    Setup(SetupArgs),
    Help(HelpArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

const EXIT_CODES: &str = "\
Exit codes:
  the command's own; 128+N if signal N ended it
  124  the time limit passed
  125  Stockade itself failed, or refused, or could not record how the run went
  126  the command cannot be executed
  127  the command was not found
  137  out of memory, too much output, or stopped from outside
The exact cause is an event on --status-fd.";
