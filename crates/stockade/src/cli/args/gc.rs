//! `stockade gc`.

use clap::Args;

/// Removes what a crash left behind: processes, cgroups, mounts, directories
///
/// Running sandboxes and kept changes stay.
#[derive(Args, Debug)]
pub struct GcArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Show what would be removed; remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
