//! `stockade policy` and `stockade preset`, and the flags that name a policy.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use stockade_domain::ControlKind;

use super::run::{LimitArgs, ViewArgs};

/// Which policy holds.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Policy")]
pub struct PolicyFlags {
    /// The way to build the sandbox [default: auto, the strongest that meets the policy]
    #[arg(long, value_name = "NAME")]
    pub driver: Option<String>,
    /// Policy file, on top of those of the organisation, the user and the project
    ///
    /// A stockade.toml at the root of the project is read by itself, but can only tighten:
    /// the command could have written it. Named here, it is trusted.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// A policy that comes with the program, below the file and the flags: see `stockade preset ls`
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Refuse to run unless this control is enforced; over what the policy says
    #[arg(long, value_name = "CONTROL", value_parser = control(), hide_possible_values = true)]
    pub require: Vec<ControlKind>,
    /// Run without this control, and say so, where it cannot be enforced
    ///
    /// A limit that you write is required, and so are the walls. For example `--disk 1G
    /// --prefer disk` lets the disk limit be watched where it cannot be enforced. The names
    /// are those that --dry-run shows. A control that is also required stays required.
    #[arg(long, value_name = "CONTROL", value_parser = control(), hide_possible_values = true)]
    pub prefer: Vec<ControlKind>,
    /// Let commands inside ask for checkpoints of the changes, with `stockade checkpoint`
    ///
    /// For hooks of agents. They can ask and see what was asked for, and cannot go back to one
    /// or remove one. Of those the last 20 stay, with 4G in all.
    #[arg(long)]
    pub checkpoints_from_inside: bool,
    /// Record every start of a program inside: what, where, by whom, and how it ended
    #[arg(long, overrides_with = "no_audit_processes")]
    pub audit_processes: bool,
    /// Do not record them, whatever the policy says
    #[arg(long, overrides_with = "audit_processes")]
    pub no_audit_processes: bool,
}

/// Controls by their names in policies.
fn control() -> impl TypedValueParser<Value = ControlKind> {
    let names = ControlKind::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.summary()));
    PossibleValuesParser::new(names)
        .try_map(|name| ControlKind::named(&name).ok_or("there is no such control"))
}

/// Explains and checks policies
#[derive(Args, Debug)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// The commands of `stockade policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    Check(CheckArgs),
    Explain(Box<ExplainArgs>),
    Schema(SchemaArgs),
}

/// Reads policies and says what in them cannot be right
///
/// With a file: that one, by itself. Without: every layer that would hold for a run here.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// What the file is to be: that decides what may stand in it
    #[arg(
        long = "as",
        value_name = "LAYER",
        value_enum,
        default_value = "named",
        requires = "file"
    )]
    pub layer: LayerArg,
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

/// Whose a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayerArg {
    /// Named by --policy
    Named,
    /// Root's, in /etc/stockade: it may have a floor
    Organisation,
    /// The user's own
    User,
    /// The project's: it may only tighten
    Project,
}

/// Shows what holds for a run with the same flags, who wrote each clause and who enforces it
///
/// Creates nothing. Exit code 125 if the policy is refused by the driver that it names.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub policy: PolicyFlags,
    #[command(flatten)]
    pub view: ViewArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Writes the JSON Schema of policy files, for editors
#[derive(Args, Debug)]
pub struct SchemaArgs {}

/// Shows the policies that come with the program
#[derive(Args, Debug)]
pub struct PresetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PresetCommand,
}

/// The commands of `stockade preset`.
#[derive(Debug, Subcommand)]
pub enum PresetCommand {
    Ls(PresetLsArgs),
    Show(PresetShowArgs),
}

/// Lists them
#[derive(Args, Debug)]
pub struct PresetLsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Writes one as the policy file that it is
#[derive(Args, Debug)]
pub struct PresetShowArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Its name
    pub name: String,
}
