//! `stockade changes`.

use clap::Args;

/// Lists what sandboxes changed in their workspaces, kept apart from the host
///
/// Without a name: one line a change set, with the sandbox that uses it or used it last. With
/// one: its files, marked A for added, M for changed, D for deleted and R for replaced by
/// something of another kind.
#[derive(Args, Debug)]
pub struct ChangesArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Write the names alone, one a line
    #[arg(short, long, conflicts_with_all = ["json", "name"])]
    pub quiet: bool,
    /// The change set, or a sandbox that used it: its name or id
    pub name: Option<String>,
}
