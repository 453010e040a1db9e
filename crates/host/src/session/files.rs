//! Files inside, for every driver: the guest does what is asked, beneath its own root.

use std::future::poll_fn;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use stockade_wire::limits::{CHUNK, MAX_PENDING_FILES};
use stockade_wire::{
    DirectoryEntry, FileAnswer, FileError, FileOperation, FileRequest, FileStat, GuestPath, RequestId,
    ToGuest,
};

use super::{Session, Shared};
use crate::error::{Error, Result};

/// A request that is under way; dropping it forgets the answer.
pub(crate) struct AskedFile {
    shared: Arc<Shared>,
    id: RequestId,
    path: PathBuf,
}

impl Drop for AskedFile {
    fn drop(&mut self) {
        self.shared.lock().files.remove(&self.id);
    }
}

impl AskedFile {
    /// Waits for what came of it.
    pub(crate) async fn answer(self) -> Result<FileAnswer> {
        let result = poll_fn(|cx| {
            let mut core = self.shared.lock();
            core.check()?;
            let Some(pending) = core.files.get_mut(&self.id) else {
                return Poll::Ready(Err(Error::LinkLost {
                    why: "the request was forgotten".to_owned(),
                }));
            };
            if let Some(answer) = pending.answer.take() {
                return Poll::Ready(Ok(answer));
            }
            if pending.lost {
                return Poll::Ready(Err(Error::LinkLost {
                    why: format!("while {} was asked for", self.path.display()),
                }));
            }
            pending.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await?;
        result.map_err(|FileError { errno, text }| Error::File {
            path: self.path.clone(),
            errno,
            text,
        })
    }
}

impl Session {
    /// Does one thing with a file.
    ///
    /// # Errors
    /// [`Error::File`] as the guest says, [`Error::LinkLost`] if the link dropped meanwhile
    /// (whether it was done is not known), [`Error::Busy`] if too many are under way.
    pub async fn file(&self, path: &Path, operation: FileOperation) -> Result<FileAnswer> {
        self.ask_file(path, operation)?.answer().await
    }

    /// Asks at once, and the guest does what is asked in its order.
    pub(crate) fn ask_file(&self, path: &Path, operation: FileOperation) -> Result<AskedFile> {
        let guest_path = GuestPath::new(path.as_os_str().as_bytes()).map_err(|error| Error::File {
            path: path.to_owned(),
            errno: 0,
            text: error.to_string(),
        })?;
        let mut core = self.shared.lock();
        core.check()?;
        if core.files.len() >= MAX_PENDING_FILES {
            return Err(Error::Busy {
                what: format!("ask for {}", path.display()),
                why: format!("{MAX_PENDING_FILES} file requests are under way"),
            });
        }
        let id = core.new_file();
        if !core.say(ToGuest::File(FileRequest {
            id,
            path: guest_path,
            operation,
        })) {
            core.files.remove(&id);
            return Err(Error::Busy {
                what: format!("ask for {}", path.display()),
                why: "the sandbox does not listen".to_owned(),
            });
        }
        Ok(AskedFile {
            shared: Arc::clone(&self.shared),
            id,
            path: path.to_owned(),
        })
    }

    /// Describes a file.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn stat(&self, path: &Path, follow: bool) -> Result<FileStat> {
        match self.file(path, FileOperation::Stat { follow }).await? {
            FileAnswer::Stat(stat) => Ok(stat),
            other => Err(self.unfit(&other)),
        }
    }

    /// The content of a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::file`], and [`Error::File`] if it is longer or changes meanwhile.
    pub async fn read_file(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file_error = |text: String| Error::File {
            path: path.to_owned(),
            errno: 0,
            text,
        };
        let mut content = Vec::new();
        let mut first: Option<FileStat> = None;
        loop {
            let offset = u64::try_from(content.len()).unwrap_or(u64::MAX);
            let length = u32::try_from(CHUNK).unwrap_or(u32::MAX);
            let answer = self.file(path, FileOperation::Read { offset, length }).await?;
            let FileAnswer::Chunk { bytes, stat } = answer else {
                return Err(self.unfit(&answer));
            };
            let same =
                |a: &FileStat| (a.identity, a.modified, a.size) == (stat.identity, stat.modified, stat.size);
            if !first.as_ref().is_none_or(same) {
                return Err(file_error(
                    "it changed while it was read: read it again".to_owned(),
                ));
            }
            content.extend_from_slice(&bytes);
            if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
                return Err(file_error(format!("it has more than {limit} bytes")));
            }
            if bytes.len() < CHUNK {
                return Ok(content);
            }
            first.get_or_insert(stat);
        }
    }

    /// Writes a regular file, making it with these permissions if it does not exist.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let mut offset = 0;
        let empty: &[u8] = &[];
        let chunks = content.chunks(CHUNK).chain(content.is_empty().then_some(empty));
        for bytes in chunks {
            let first = offset == 0;
            let operation = FileOperation::Write {
                offset,
                bytes: bytes.to_vec(),
                create: first.then_some(mode),
                truncate: first,
            };
            self.file(path, operation).await?;
            offset += u64::try_from(bytes.len()).unwrap_or(0);
        }
        Ok(())
    }

    /// Up to `limit` entries of a directory, in the order of their names.
    ///
    /// # Errors
    /// As [`Self::file`], and [`Error::File`] if it has more.
    pub async fn list_directory(&self, path: &Path, limit: usize) -> Result<Vec<DirectoryEntry>> {
        let mut all: Vec<DirectoryEntry> = Vec::new();
        loop {
            let after = all.last().map(|entry| entry.name.clone()).unwrap_or_default();
            let answer = self
                .file(path, FileOperation::List { after: after.clone() })
                .await?;
            let FileAnswer::Entries { entries, more } = answer else {
                return Err(self.unfit(&answer));
            };
            // A guest that repeats itself would keep us here for ever.
            let advances = entries.first().is_none_or(|entry| entry.name > after)
                && entries.is_sorted_by(|a, b| a.name < b.name);
            if !advances || (more && entries.is_empty()) {
                return Err(self.protocol("a directory's names were out of order"));
            }
            all.extend(entries);
            if all.len() > limit {
                return Err(Error::File {
                    path: path.to_owned(),
                    errno: 0,
                    text: format!("it has more than {limit} entries"),
                });
            }
            if !more {
                return Ok(all);
            }
        }
    }

    pub(crate) fn unfit(&self, answer: &FileAnswer) -> Error {
        let kind = match answer {
            FileAnswer::Done => "done",
            FileAnswer::Stat(_) => "a description",
            FileAnswer::Chunk { .. } => "a part of a file",
            FileAnswer::Entries { .. } => "entries",
            FileAnswer::Surveyed { .. } => "a look at a tree",
            FileAnswer::Nodes(_) => "nodes",
            FileAnswer::Parts(_) => "parts of nodes",
        };
        self.protocol(&format!("a file request was answered with {kind}"))
    }

    pub(crate) fn protocol(&self, why: &str) -> Error {
        self.shared
            .lock()
            .fail(super::core::Failure::Protocol(why.to_owned()));
        Error::protocol(why)
    }
}
