//! Writing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::event::Event;
use super::{VERSION, genesis, hash};
use crate::error::{Error, Result};
use crate::state::{AUDIT, StateDirs, unix_ms};

/// Lines wait for [`AuditLog::flush`] up to this many bytes.
const BUFFER: usize = 16 << 10;

/// The audit log of one sandbox; its shim alone writes it.
#[derive(Debug)]
pub struct AuditLog {
    file: File,
    path: PathBuf,
    waiting: Vec<u8>,
    last: String,
    lines: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    at_ms: u64,
    event: &'a Event,
    prev: &'a str,
}

impl AuditLog {
    /// Begins the log of a new sandbox.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn create(dirs: &StateDirs, id: &str) -> Result<Self> {
        let dir = dirs.part(AUDIT)?;
        let name = format!("{id}.jsonl");
        let file = dir.create_log(&name)?;
        Ok(Self {
            file,
            path: dir.path().join(name),
            waiting: Vec::new(),
            last: genesis(id),
            lines: 0,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event. It is in the file after the next [`Self::flush`].
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn note(&mut self, event: &Event) -> Result<()> {
        let line = Line {
            v: VERSION,
            seq: self.lines,
            at_ms: unix_ms(),
            event,
            prev: &self.last,
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| Error::Corrupt {
            path: self.path.clone(),
            why: format!("cannot be written: {error}"),
        })?;
        let digest = hash(&bytes);
        bytes.pop(); // the closing brace comes after the hash
        bytes.extend_from_slice(b",\"hash\":\"");
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(b"\"}\n");
        self.waiting.extend_from_slice(&bytes);
        self.last = digest;
        self.lines += 1;
        if self.waiting.len() > BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what waits, in one piece.
    ///
    /// # Errors
    /// [`Error::State`]; the lines are then lost and the chain shows it.
    pub fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.file
            .write_all(&waiting)
            .map_err(|error| Error::state("write", &self.path, error))
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // Who can tell of a failure has called `flush` before.
        let _ = self.flush();
    }
}
