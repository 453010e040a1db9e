//! `stockade exec`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use stockade_domain::environment::Variable;

use super::run::TerminalArgs;

/// Runs one more command in a running sandbox
///
/// It sees what the sandbox sees and shares its limits.
#[derive(Args, Debug)]
pub struct ExecArgs {
    #[command(flatten)]
    pub terminal: TerminalArgs,
    /// Set a variable; NAME alone passes the host's value on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Variable>,
    /// Directory inside to start in [default: that of the sandbox's first command]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workdir: Option<PathBuf>,
    /// Write how the command ended as JSON to standard error
    #[arg(long)]
    pub json: bool,
    /// No messages about how the command ended
    #[arg(short, long)]
    pub quiet: bool,
    /// The sandbox: its name or id
    pub name: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}
