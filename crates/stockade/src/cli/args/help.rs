//! `stockade help`.

use clap::Args;

/// Explains a concept or a command
///
/// Topics: policy, workspace, limits, exit-codes, drivers, levels, network, audit, state.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A topic, or the words of a command; without one, topics are listed
    pub topic: Vec<String>,
}
