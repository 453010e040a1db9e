//! `stockade audit`.

use clap::{Args, Subcommand};

/// Shows what happened to sandboxes, and checks that the record is whole
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// Shows what happened, oldest first: to all sandboxes, or to one
#[derive(Args, Debug)]
#[command(after_long_help = SHOW_NOTES)]
pub struct ShowArgs {
    /// The sandbox, by its id or its name (the latest of that name)
    #[arg(value_name = "SANDBOX", conflicts_with = "last")]
    pub sandbox: Option<String>,
    /// The latest sandbox
    #[arg(long)]
    pub last: bool,
    /// Only this kind of event; can be given several times
    #[arg(long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(crate::service::audit::KINDS))]
    pub kind: Vec<String>,
    /// Go on with what happens, until the sandbox is removed
    #[arg(short, long)]
    pub follow: bool,
    /// Write the lines of the record as they are
    #[arg(long)]
    pub json: bool,
}

/// Checks that no record was edited, removed or moved
///
/// A chain of hashes without a key shows what was changed by somebody who did not compute
/// all later records anew. That the last records of a sandbox are missing shows only against
/// a hash that was noted elsewhere: see --head.
#[derive(Args, Debug)]
#[command(after_long_help = VERIFY_NOTES)]
pub struct VerifyArgs {
    /// A sandbox, by its id or name, or a file of the record [default: everything]
    #[arg(value_name = "SANDBOX|FILE")]
    pub what: Option<String>,
    /// A hash that was shown as the last one before: it must still be there
    #[arg(long, value_name = "HASH")]
    pub head: Vec<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

const SHOW_NOTES: &str = "\
Examples:
  stockade audit show --last
  stockade audit show agent --kind process-started
  stockade audit show --last --follow --json";

const VERIFY_NOTES: &str = "\
Exit codes:
  0    every chain holds
  1    one does not: the record and its line are named
  125  the record cannot be read";
