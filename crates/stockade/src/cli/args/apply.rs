//! `stockade apply` and `stockade undo`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Takes changes over to the project, whole or not at all
///
/// Without paths: everything that git does not ignore. What runs on the host later (hooks,
/// CI files, editor settings, new programs) needs an explicit yes: in a terminal you are
/// asked, otherwise name the file itself, or say --all. A file that changed on the host since
/// the sandbox began is a conflict: it is shown from three sides and never overwritten unless you
/// say so (--conflicts). `stockade undo` brings back what was there before.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// Apply everything, or nothing if anything is risky or in conflict (for CI)
    #[arg(long, conflicts_with_all = ["all", "interactive"])]
    pub safe: bool,
    /// Apply risky files as well
    #[arg(long, conflicts_with = "interactive")]
    pub all: bool,
    /// Ask about each file
    #[arg(short, long)]
    pub interactive: bool,
    /// Apply what git ignores as well
    #[arg(long)]
    pub ignored: bool,
    /// For files that changed on the host as well: what becomes of them
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = ConflictArg::Leave)]
    pub conflicts: ConflictArg,
    /// The change set, if not the project's pending one: its name, or a sandbox that used it
    #[arg(long, value_name = "NAME")]
    pub changes: Option<String>,
    /// Say what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Files and directories, from the current directory
    pub paths: Vec<PathBuf>,
}

/// What becomes of a file that changed inside and on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConflictArg {
    /// Stays a pending change
    Leave,
    /// The host's file stays, the change is forgotten
    Host,
    /// The sandbox's file takes its place
    Sandbox,
    /// The sandbox's file is put beside it, as NAME.stockade
    Beside,
    /// Both are put together, line by line; where both changed the same lines it stays pending
    Merge,
    /// The same, with conflict markers around lines that both changed
    Mark,
}

/// Forgets changes that were not taken over
///
/// The host's files stay as they are; what the sandbox made of them is gone from the change
/// set. Without paths: everything, after a question. `stockade undo` brings it back.
#[derive(Args, Debug)]
pub struct DiscardArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// The change set, if not the project's pending one: its name, or a sandbox that used it
    #[arg(long, value_name = "NAME")]
    pub changes: Option<String>,
    /// Say what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Files and directories, from the current directory
    pub paths: Vec<PathBuf>,
}

/// Brings back what was there before the last apply
///
/// Contents, permissions, times, links and deleted directories: the very files that stood
/// there. Refused where the host changed them since. What was applied becomes a pending
/// change again; refused where a later sandbox changed the same files, unless you say
/// --set-aside. Each call goes back one apply further.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// List what can be undone, oldest first
    #[arg(long, conflicts_with = "dry_run")]
    pub list: bool,
    /// Only check whether it can be undone
    #[arg(long)]
    pub dry_run: bool,
    /// Keep pending changes that are in the way as a set of their own
    #[arg(long, conflicts_with_all = ["list", "dry_run"])]
    pub set_aside: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
