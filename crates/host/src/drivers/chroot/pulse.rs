//! Bounds of what is brought into a root, and of its user's patience.

use std::path::Path;

use rustix::io::Errno;

use super::NAME;
use crate::driver::Seed;
use crate::error::{Error, Result};

/// Most names in one root.
const MAX_NAMES: u64 = 500_000;
/// Most bytes in one root that are neither linked nor shared with the host's files.
const MAX_BYTES: u64 = 4 << 30;
/// Names between two looks at whether to go on: each lets the supervisor see to its signals.
const STRIDE: u64 = 512;

/// What helps where a disk is full.
pub(super) const SPACE: &str = "free space where the state directory lies, or set XDG_STATE_HOME to the file system \
                                that holds /usr, where files are linked instead of copied";

/// What may still be brought.
#[derive(Debug, Default)]
pub(super) struct Budget {
    names: u64,
    bytes: u64,
}

impl Budget {
    pub(super) fn names(&self) -> u64 {
        self.names
    }

    pub(super) fn name(&mut self) -> Result<()> {
        self.names += 1;
        if self.names > MAX_NAMES {
            return Err(too_much(&format!("more than {MAX_NAMES} files")));
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > MAX_BYTES {
            return Err(too_much(&format!("more than {} MiB to copy", MAX_BYTES >> 20)));
        }
        Ok(())
    }
}

fn too_much(cause: &str) -> Error {
    Error::Create {
        driver: NAME.to_owned(),
        step: "build the root directory".to_owned(),
        cause: format!("what the sandbox is shown has {cause}"),
        remedy: Some(
            "set XDG_STATE_HOME to the file system that holds /usr, where files are linked instead of \
             copied; or use --image DIR"
                .to_owned(),
        ),
    }
}

/// The caller's patience.
pub(super) struct Pulse<'a> {
    seed: &'a Seed,
    looked: u64,
}

impl<'a> Pulse<'a> {
    pub(super) fn new(seed: &'a Seed) -> Self {
        (seed.progress)("building the root directory");
        Self { seed, looked: 0 }
    }

    /// Lets the supervisor see to its signals, and ends it where that is asked for.
    pub(super) async fn beat(&mut self, names: u64) -> Result<()> {
        if names < self.looked + STRIDE {
            return Ok(());
        }
        self.looked = names;
        tokio::task::yield_now().await;
        if self.seed.cancel.is_cancelled() {
            return Err(Error::Cancelled {
                what: "creating the sandbox".to_owned(),
            });
        }
        Ok(())
    }

    /// Tells the user what nobody should have to ask for.
    pub(super) fn warn(&self, what: &str) {
        (self.seed.warn)(what);
    }

    /// What the kernel said of a file.
    pub(super) fn failed(&self, path: &Path, error: Errno) -> Error {
        let remedy = match error {
            Errno::NOSPC | Errno::DQUOT => Some(SPACE),
            Errno::PERM | Errno::ACCESS => {
                Some("a security module or an outer sandbox refuses this: run on the host itself")
            }
            _ => None,
        };
        Error::Create {
            driver: NAME.to_owned(),
            step: format!("bring {} into the root directory", path.display()),
            cause: std::io::Error::from(error).to_string(),
            remedy: remedy.map(str::to_owned),
        }
    }
}
