//! Files in another shim's sandbox.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stockade_wire::limits::CHUNK;
use stockade_wire::{
    DirectoryEntry, FileAnswer, FileError, FileOperation, FileRequest, FileStat, GuestPath, RequestId,
};

use super::client::Client;
use super::protocol::{FromClient, FromShim};
use crate::error::{Error, Result};

/// A connection that does things with files, one after another. After an error that is not
/// [`Error::File`] it is of no more use.
pub struct RemoteFiles {
    client: Client,
    next: u32,
}

impl RemoteFiles {
    pub(super) fn new(client: Client) -> Self {
        Self { client, next: 0 }
    }

    /// Does one thing with a file. Paths are those of the sandbox.
    ///
    /// # Errors
    /// [`Error::File`] as the sandbox says, [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn file(&mut self, path: &Path, operation: FileOperation) -> Result<FileAnswer> {
        let failed = |errno, text| Error::File {
            path: path.to_owned(),
            errno,
            text,
        };
        let guest_path =
            GuestPath::new(path.as_os_str().as_bytes()).map_err(|error| failed(0, error.to_string()))?;
        let id = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        let request = FileRequest {
            id,
            path: guest_path,
            operation,
        };
        match self.client.exchange(&FromClient::File(request)).await? {
            FromShim::File(reply) if reply.id == id => reply
                .result
                .map_err(|FileError { errno, text }| failed(errno, text)),
            _ => Err(Error::protocol("a file request was not answered")),
        }
    }

    /// Describes a file.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn stat(&mut self, path: &Path, follow: bool) -> Result<FileStat> {
        match self.file(path, FileOperation::Stat { follow }).await? {
            FileAnswer::Stat(stat) => Ok(stat),
            _ => Err(unfit()),
        }
    }

    /// A part of a regular file, up to a chunk of 64 KiB; less only at its end.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn read(&mut self, path: &Path, offset: u64) -> Result<(Vec<u8>, FileStat)> {
        let length = u32::try_from(CHUNK).unwrap_or(u32::MAX);
        match self.file(path, FileOperation::Read { offset, length }).await? {
            FileAnswer::Chunk { bytes, stat } => Ok((bytes, stat)),
            _ => Err(unfit()),
        }
    }

    /// Names in a directory after one of them, in order, and whether there are more.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn list(&mut self, path: &Path, after: &[u8]) -> Result<(Vec<DirectoryEntry>, bool)> {
        let operation = FileOperation::List {
            after: after.to_vec(),
        };
        let FileAnswer::Entries { entries, more } = self.file(path, operation).await? else {
            return Err(unfit());
        };
        // A sandbox that repeats itself would keep us here for ever.
        let advances = entries.first().is_none_or(|entry| entry.name.as_slice() > after)
            && entries.is_sorted_by(|a, b| a.name < b.name);
        if advances && !(more && entries.is_empty()) {
            Ok((entries, more))
        } else {
            Err(Error::protocol("a directory's names were out of order"))
        }
    }

    /// Does something that has no answer.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn change(&mut self, path: &Path, operation: FileOperation) -> Result<()> {
        match self.file(path, operation).await? {
            FileAnswer::Done => Ok(()),
            _ => Err(unfit()),
        }
    }
}

fn unfit() -> Error {
    Error::protocol("a file request was answered with something else than was asked for")
}
