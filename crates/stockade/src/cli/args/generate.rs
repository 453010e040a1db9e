//! `stockade completions` and `stockade man`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

/// Writes the completion script of a shell to standard output
///
/// bash: stockade completions bash > ~/.local/share/bash-completion/completions/stockade
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Writes the manual pages
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The directory to write to; it is made if it does not exist
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}
