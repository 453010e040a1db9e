//! A copy of a workspace that nobody on this host writes to: what is inside a sandbox without a shared file system is
//! told by its guest, and the copy follows. It has the form of every other copy, so whoever reads changes need not know.
//!
//! What is told is put into a stage first. The steps that bring it into the copy are a plan in a file: once that is
//! there, they are all done, by whoever looks next if need be; before, the copy is as it was.

mod apply;
mod stage;

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use stage::{Skipped, Stage, Staged};

/// Marks a copy that follows what a guest tells, and locks it while it does.
pub const MIRROR: &str = "copy.mirror";
/// What has been told and is not in the copy yet, and what was taken out of it.
pub const STAGE: &str = "copy.stage";
/// How it gets there.
pub const PLAN: &str = "copy.plan";

/// What a node has beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// Names and values of extended attributes. Those of programs are taken, and the access control list.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One step. Paths are relative to the workspace, and of bytes, because not all are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// What is there goes, with all that is below it.
    Remove(Vec<u8>),
    /// A directory is there.
    Directory(Vec<u8>),
    /// What was staged under this number is there.
    Put(Vec<u8>, u32),
    /// The same file as at the second path is at the first.
    Also(Vec<u8>, Vec<u8>),
    /// A pipe is there, or a socket.
    Special {
        /// Where.
        path: Vec<u8>,
        /// A socket that nobody listens on.
        socket: bool,
        /// Permission bits.
        mode: u32,
    },
    /// A directory to which nothing more comes looks like this.
    Close(Vec<u8>, Traits),
}

/// Makes the copy in a change set's directory one that follows a guest.
///
/// # Errors
/// The mark cannot be written.
pub fn begin(changes: &Path) -> Result<()> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(changes.join(MIRROR))
        .map(drop)
        .map_err(|cause| failed(MIRROR, cause))
}

/// True if the copy is as its guest told last, and not what is inside now.
#[must_use]
pub fn is_mirror(changes: &Path) -> bool {
    changes.join(MIRROR).exists()
}

/// The attributes of an open node that programs set for themselves.
///
/// # Errors
/// They cannot be read.
pub fn attributes(of: BorrowedFd<'_>) -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let found = crate::copy::plain_attributes(of)?.into_iter();
    Ok(found.map(|(name, value)| (name.into_bytes(), value)).collect())
}

/// Nobody changes the copy while this is there.
#[derive(Debug)]
pub(super) struct Calm {
    _lock: File,
}

/// Waits until nobody changes the copy, and does what somebody could not do to its end. None where it is no mirror.
pub(super) fn settled(changes: &Path) -> Result<Option<Calm>> {
    let lock = match File::open(changes.join(MIRROR)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(failed(MIRROR, cause)),
    };
    loop {
        match rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(failed(MIRROR, cause.into())),
        }
    }
    apply::finish(changes)?;
    Ok(Some(Calm { _lock: lock }))
}

fn failed(path: impl AsRef<Path>, cause: std::io::Error) -> Error {
    Error::Mirror {
        path: path.as_ref().to_owned(),
        cause,
    }
}
