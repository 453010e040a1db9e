//! `stockade policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Works with policy files
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
}

/// Reads a policy file and says what in it cannot be right
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}
