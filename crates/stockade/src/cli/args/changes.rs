//! `stockade changes`.

use clap::Args;

/// Lists what sandboxes changed in their workspaces, kept apart from the host
///
/// Without a name: one line a change set. With one: its files, marked A for added, M for
/// changed, D for deleted and R for a replaced directory.
#[derive(Args, Debug)]
pub struct ChangesArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// The sandbox: its name or id
    pub name: Option<String>,
}
