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

/// The record of one sandbox; its shim alone writes it.
#[derive(Debug)]
pub struct AuditLog {
    id: String,
    file: File,
    path: PathBuf,
    waiting: Vec<u8>,
    last: String,
    lines: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    sandbox: &'a str,
    seq: u64,
    at_ms: u64,
    event: &'a Event,
    prev: &'a str,
}

impl AuditLog {
    /// Begins the record of a new sandbox, in the file of this month. Many sandboxes write
    /// there at the same time: each in whole lines, each with its own chain.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn create(dirs: &StateDirs, id: &str) -> Result<Self> {
        let dir = dirs.part(AUDIT)?;
        let name = file_name(unix_ms());
        let file = dir.open_log(&name)?;
        Ok(Self {
            id: id.to_owned(),
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
            sandbox: &self.id,
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

/// `2026-11.jsonl`: months in UTC.
pub(super) fn file_name(unix_ms: u64) -> String {
    // Days to a date, as in Howard Hinnant's "chrono-compatible low-level date algorithms":
    // years begin in March, so that the day that not every year has is the last one.
    let days = unix_ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}.jsonl")
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // Who can tell of a failure has called `flush` before.
        let _ = self.flush();
    }
}
