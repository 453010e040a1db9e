//! Starting the process that becomes the supervisor of a detached sandbox: this program, with
//! the words of the command line after `shim`.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The word that makes this program a supervisor.
pub const SHIM: &str = "shim";

/// Longest line that a supervisor says.
pub const MAX_LINE: u64 = 64 << 10;

/// What the supervisor says once, on its standard output, when all stands. What keeps it
/// from that is on its standard error, and in its exit code.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Up {
    /// The sandbox's id.
    pub id: String,
    /// Its name, or its id.
    pub sandbox: String,
    /// The driver.
    pub driver: String,
    /// How many controls are verified.
    pub verified: usize,
    /// How many had to be.
    pub controls: usize,
}

/// The command that starts one.
pub fn supervisor(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("stockade").arg(SHIM).args(words);
    command
}
