//! Copying between the host and a sandbox that runs. What is inside is hostile: it may lie, change
//! meanwhile, and name things so that they lead elsewhere. So each file is copied by its own
//! request, and on the host everything is made below one descriptor, step by step, without ever
//! following a link. Nothing lands outside of the destination.
//!
//! Not copied, and told: devices, sockets and pipes; links that could lead out of what is copied;
//! what cannot be read. Never kept: set-user-id and its like, and write permission for others.

mod from_host;
mod into_host;
mod link;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use from_host::into_sandbox;
pub use into_host::out_of_sandbox;

use crate::error::{Error, Result};

/// Directories in one another.
const MAX_DEPTH: usize = 100;
/// What was refused is listed up to this; all of it is counted.
const MAX_LISTED: usize = 1000;

/// How much is copied at most: the other side may have no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 30,
            entries: 1_000_000,
        }
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Regular files.
    pub files: u64,
    /// Directories, new or there already.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// How many things were not copied.
    pub refused: u64,
    /// The first of them, and why.
    pub refusals: Vec<Refusal>,
}

/// Something that was not copied.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What is being copied, against its limits.
struct Count {
    copied: Copied,
    limits: Limits,
}

impl Count {
    fn new(limits: Limits) -> Self {
        Self {
            copied: Copied::default(),
            limits,
        }
    }

    fn entry(&mut self) -> Result<()> {
        let copied = &self.copied;
        let entries = copied.files + copied.directories + copied.links + copied.refused;
        if entries < self.limits.entries {
            return Ok(());
        }
        Err(self.too_much(&format!("{} files, directories and links", self.limits.entries)))
    }

    fn bytes(&mut self, count: usize) -> Result<()> {
        self.copied.bytes = self
            .copied
            .bytes
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.copied.bytes <= self.limits.bytes {
            return Ok(());
        }
        let bytes = stockade_domain::units::ByteCount(self.limits.bytes);
        Err(self.too_much(&bytes.to_string()))
    }

    fn too_much(&self, limit: &str) -> Error {
        Error::Impossible {
            what: "copy all of it".to_owned(),
            why: format!("there is more than {limit}"),
            remedy: Some("copy parts of it, or raise --limit".to_owned()),
        }
    }

    fn refuse(&mut self, path: impl Into<PathBuf>, why: impl Into<String>) {
        self.copied.refused += 1;
        if self.copied.refusals.len() < MAX_LISTED {
            self.copied.refusals.push(Refusal {
                path: path.into(),
                why: why.into(),
            });
        }
    }

    /// A file that fails does not keep the others; a lost sandbox ends everything.
    fn settle(&mut self, result: Result<()>) -> Result<()> {
        match result {
            Err(Error::File { path, text, .. }) => {
                self.refuse(path, text);
                Ok(())
            }
            other => other,
        }
    }
}
