//! What is asked to be run.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use stockade_domain::environment::Environment;
use stockade_wire::{ByteStrings, ExecId, ExecRequest, GuestPath, WindowSize, WireError};

use crate::error::{CommandFailure, Error, Result};

/// A command.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments. A program without a slash is looked for in `PATH`.
    pub argv: Vec<OsString>,
    /// All its variables.
    pub env: Environment,
    /// Directory inside to start in.
    pub cwd: PathBuf,
    /// A terminal of this size, or three pipes.
    pub tty: Option<WindowSize>,
    /// Whether there will be input; if not, standard input is at its end from the start.
    pub stdin: bool,
}

impl Command {
    /// Its first word.
    pub(crate) fn name(&self) -> String {
        self.argv
            .first()
            .map(|word| word.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn request(&self, id: ExecId) -> Result<ExecRequest> {
        self.encode(id).map_err(|error| Error::Command {
            kind: CommandFailure::NotExecutable,
            command: self.name(),
            text: error.to_string(),
            remedy: None,
        })
    }

    fn encode(&self, id: ExecId) -> Result<ExecRequest, WireError> {
        if self.argv.is_empty() {
            return Err(WireError::PartInvalid {
                part: "the command",
                why: "it has no words",
            });
        }
        let env = self.env.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(ExecRequest {
            id,
            argv: ByteStrings::new(self.argv.iter().map(|word| word.as_bytes()))?,
            env: ByteStrings::new(env)?,
            cwd: GuestPath::new(self.cwd.clone().into_os_string().into_vec())?,
            tty: self.tty,
            stdin: self.stdin,
        })
    }
}
