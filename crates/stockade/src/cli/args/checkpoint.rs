//! `stockade checkpoint` and `stockade rewind`.

use clap::Args;

/// Keeps a copy of the pending changes, to go back to
///
/// Costs with what was changed since the last one, not with the size of the project. A sandbox
/// that uses the changes is paused for the moment. Checkpoints go with their change set.
///
/// Inside a sandbox that was started with --checkpoints-from-inside it asks for one (`--list`
/// shows those that were asked for), for example in a hook of an agent.
#[derive(Args, Debug)]
pub struct CheckpointArgs {
    /// List the checkpoints instead, oldest first
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// The change set, if not the project's pending one: its name, or a sandbox that used it
    #[arg(long, value_name = "SET")]
    pub changes: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// What to call it
    pub name: Option<String>,
}

/// Makes the pending changes what they were at a checkpoint
///
/// What they are now becomes a checkpoint first, so that nothing is lost. The project itself is
/// not touched, unless it was written in place (`--changes live`): then its files become what they
/// were, and `stockade undo` takes that back. Refused while a sandbox uses the changes.
#[derive(Args, Debug)]
pub struct RewindArgs {
    /// The change set, if not the project's pending one: its name, or a sandbox that used it
    #[arg(long, value_name = "SET")]
    pub changes: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// The checkpoint: its number or name; of what was written in place also `start`
    pub which: String,
}
