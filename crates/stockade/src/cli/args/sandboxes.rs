//! `stockade ls`, `stop` and `rm`.

use clap::Args;
use stockade_domain::units::DurationMs;

/// Lists sandboxes
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Write a JSON array
    #[arg(long)]
    pub json: bool,
    /// Only names
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
}

/// Ends a running sandbox
///
/// Its command gets SIGTERM, and after the grace period everything inside is killed. One that
/// has ended already is no error: the answer says how it ended.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// How long the command may take to end by itself: 500ms, 30s
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub grace: DurationMs,
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Removes an ended sandbox with the changes that it kept
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Stop it first if it runs
    #[arg(short, long)]
    pub force: bool,
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}
