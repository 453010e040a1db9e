//! `stockade cp`.

use clap::{Args, ValueHint};
use stockade_domain::units::ByteCount;

/// Copies files between the host and a running sandbox
///
/// One of the two is NAME:/PATH, a path inside. Directories are copied with all that they hold.
/// Where the destination is a directory, the source goes into it. Files that are there already
/// are replaced. Nothing lands outside of the destination: devices, and links that lead out of what is
/// copied, are left out and told (exit code 125). Set-user-id and write permission for others
/// are never kept.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  stockade cp web:/work/report.html .\n  stockade cp ./data web:/tmp")]
pub struct CpArgs {
    /// Copy at most this much
    #[arg(long, value_name = "SIZE", default_value = "16G")]
    pub limit: ByteCount,
    /// Write what was copied as JSON
    #[arg(long)]
    pub json: bool,
    /// Only say what was left out
    #[arg(short, long)]
    pub quiet: bool,
    /// What to copy: PATH, or NAME:/PATH
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub from: String,
    /// Where to: NAME:/PATH, or PATH
    #[arg(value_name = "DESTINATION", value_hint = ValueHint::AnyPath)]
    pub to: String,
}
