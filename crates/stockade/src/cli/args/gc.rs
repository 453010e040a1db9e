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
    /// Also remove empty cgroups of your other state directories, deleted ones among them
    ///
    /// Nothing that runs is touched. A sandbox that is just being made with another
    /// XDG_STATE_HOME may fail to start.
    #[arg(long)]
    pub all: bool,
    /// Show what would be removed; remove nothing
    #[arg(long)]
    pub dry_run: bool,
}
