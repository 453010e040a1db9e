//! Writing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::event::{Event, Lost};
use super::line::Head;
use super::place::{self, MAX_FILE_BYTES};
use super::redact::Redactor;
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::state::{AUDIT, Dir, StateDirs, unix_ms};

/// Events wait for [`AuditLog::flush`] up to this many bytes.
const BUFFER: usize = 16 << 10;
/// What waits while the file cannot be written. Beyond it events are lost, and counted.
const MAX_WAITING: usize = 1 << 20;
/// What one sandbox may write about its processes: a workload must not push the records of
/// others out of the space that is kept.
const MAX_PROCESS_BYTES: u64 = 32 << 20;

/// Bounds, smaller in tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub file_bytes: u64,
    pub waiting_bytes: usize,
    pub process_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            file_bytes: MAX_FILE_BYTES,
            waiting_bytes: MAX_WAITING,
            process_bytes: MAX_PROCESS_BYTES,
        }
    }
}

/// The record of one sandbox; its shim alone writes it.
#[derive(Debug)]
pub struct AuditLog {
    id: String,
    dir: Dir,
    file: File,
    name: String,
    /// The file ends within a line.
    torn: bool,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    head: Head,
    redactor: Redactor,
    sinks: Vec<Sink>,
    bounds: Bounds,
    process_bytes: u64,
    lost: Losses,
}

/// An event that has no place in the chain yet.
#[derive(Debug)]
struct Waiting {
    at_ms: u64,
    json: Vec<u8>,
}

/// What is not told yet.
#[derive(Debug, Default)]
struct Losses {
    /// While the file could not be written.
    records: u64,
    /// Beyond the bound on processes.
    over_bound: u64,
}

impl AuditLog {
    /// Begins the record of a new sandbox, in the file of this month. Many sandboxes write
    /// there at the same time: each in whole lines, each with its own chain.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn create(dirs: &StateDirs, id: &str) -> Result<Self> {
        Self::bounded(dirs, id, Bounds::default())
    }

    /// Records something that belongs to no sandbox, under an id of its own.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn apart(dirs: &StateDirs, event: &Event) -> Result<()> {
        let mut log = Self::create(dirs, &crate::state::new_id())?;
        log.note(event)?;
        log.flush()
    }

    pub(super) fn bounded(dirs: &StateDirs, id: &str, bounds: Bounds) -> Result<Self> {
        let dir = dirs.part(AUDIT)?;
        let place::Open { file, name, torn } = place::open(&dir, bounds.file_bytes)?;
        Ok(Self {
            id: id.to_owned(),
            dir,
            file,
            name,
            torn,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            head: Head::new(id),
            redactor: Redactor::default(),
            sinks: Vec::new(),
            bounds,
            process_bytes: 0,
            lost: Losses::default(),
        })
    }

    /// Masks what this knows from now on.
    #[must_use]
    pub fn redacting(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Sends every record there as well.
    #[must_use]
    pub fn with_sinks(mut self, sinks: Vec<Sink>) -> Self {
        self.sinks = sinks;
        self
    }

    /// The file that gets records now.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Adds an event, without secrets. It is in the file after the next [`Self::flush`].
    ///
    /// # Errors
    /// [`Error::State`]: the file cannot be written now. The event waits, up to a bound.
    pub fn note(&mut self, event: &Event) -> Result<()> {
        self.note_at(event, unix_ms())
    }

    /// Adds an event that was seen at that time.
    ///
    /// # Errors
    /// Those of [`Self::note`].
    pub(super) fn note_at(&mut self, event: &Event, at_ms: u64) -> Result<()> {
        let json = self.encode(event)?;
        if event.is_of_process() {
            let bytes = self.process_bytes + u64::try_from(json.len()).unwrap_or(u64::MAX);
            if bytes > self.bounds.process_bytes {
                self.lost.over_bound += 1;
                return Ok(());
            }
            self.process_bytes = bytes;
        }
        self.push(json, at_ms);
        if self.waiting_bytes > BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes an event, and all that waits, before something happens. It does not happen if
    /// this fails, and so the event is taken back.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn record(&mut self, event: &Event) -> Result<()> {
        let json = self.encode(event)?;
        self.tell_losses()?;
        if self.waiting_bytes + json.len() > self.bounds.waiting_bytes {
            self.write_waiting()?;
        }
        self.push(json, unix_ms());
        self.write_waiting().inspect_err(|_| {
            if let Some(event) = self.waiting.pop_back() {
                self.waiting_bytes -= event.json.len();
            }
        })
    }

    /// Writes what waits, in one piece. What could not be written waits for the next time.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn flush(&mut self) -> Result<()> {
        self.tell_losses()?;
        self.write_waiting()
    }

    fn write_waiting(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.move_on()?;
            self.write_some()?;
        }
        Ok(())
    }

    /// Writes what waits, and gives slow readers a last moment.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn finish(&mut self) -> Result<()> {
        if self.lost.over_bound > 0 {
            let count = std::mem::take(&mut self.lost.over_bound);
            self.lost(
                Lost::Processes,
                count,
                "the sandbox has used up its space for them",
            )?;
        }
        self.flush()?;
        self.sinks.iter_mut().for_each(Sink::finish);
        self.flush()
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>> {
        serde_json::to_vec(&event.redacted(&self.redactor)).map_err(|error| Error::Corrupt {
            path: self.path(),
            why: format!("cannot be written: {error}"),
        })
    }

    fn push(&mut self, json: Vec<u8>, at_ms: u64) {
        if self.waiting_bytes + json.len() > self.bounds.waiting_bytes {
            self.lost.records += 1;
            return;
        }
        self.waiting_bytes += json.len();
        self.waiting.push_back(Waiting { at_ms, json });
    }

    fn lost(&mut self, what: Lost, count: u64, why: &str) -> Result<()> {
        let json = self.encode(&Event::Lost {
            what,
            count,
            why: why.to_owned(),
        })?;
        // Whatever the bound: without it the loss itself would be lost.
        self.waiting_bytes += json.len();
        self.waiting.push_back(Waiting {
            at_ms: unix_ms(),
            json,
        });
        Ok(())
    }

    fn tell_losses(&mut self) -> Result<()> {
        let missed: Vec<(&'static str, u64)> = self
            .sinks
            .iter_mut()
            .map(|sink| (sink.name(), sink.newly_lost()))
            .filter(|(_, count)| *count > 0)
            .collect();
        for (name, count) in missed {
            self.lost(Lost::Sink(name), count, "the reader did not take them in time")?;
        }
        // Told once there is room again: what waits is in order, and the gap comes after it.
        if self.lost.records > 0 && self.waiting_bytes < self.bounds.waiting_bytes / 2 {
            let count = std::mem::take(&mut self.lost.records);
            self.lost(Lost::Records, count, "the file could not be written")?;
        }
        Ok(())
    }

    /// Goes to the next file where this one is full. The chain goes with it.
    fn move_on(&mut self) -> Result<()> {
        let length = self
            .file
            .metadata()
            .map_err(|error| Error::state("read", self.path(), error))?
            .len();
        if length < self.bounds.file_bytes {
            return Ok(());
        }
        let place::Open { file, name, torn } = place::open(&self.dir, self.bounds.file_bytes)?;
        if name == self.name {
            return Ok(());
        }
        for old in place::beyond_bound(&self.dir)? {
            self.dir.remove_file(&old)?;
        }
        let from = std::mem::replace(&mut self.name, name);
        (self.file, self.torn) = (file, torn);
        if self.head.seq > 0 {
            let json = self.encode(&Event::Continued { from })?;
            self.waiting_bytes += json.len();
            self.waiting.push_front(Waiting {
                at_ms: unix_ms(),
                json,
            });
        }
        Ok(())
    }

    /// Writes a bounded part of what waits.
    fn write_some(&mut self) -> Result<()> {
        /// Lines written at once.
        const PIECE: usize = 256 << 10;
        let mut bytes = Vec::with_capacity(self.waiting_bytes.min(PIECE) * 2);
        if self.torn {
            bytes.push(b'\n');
        }
        let mut head = self.head.clone();
        // Each line's end in `bytes`, and the chain after it.
        let mut lines: Vec<(usize, Head)> = Vec::new();
        for event in &self.waiting {
            if bytes.len() > PIECE {
                break;
            }
            head.write(&self.id, event.at_ms, &event.json, &mut bytes);
            lines.push((bytes.len(), head.clone()));
        }
        let (done, result) = write_all(&mut self.file, &bytes);
        let whole = lines.iter().take_while(|(end, _)| *end <= done).count();
        let mut start = usize::from(self.torn);
        for (end, head) in lines.drain(..whole) {
            let line = bytes.get(start..end).unwrap_or_default();
            self.sinks.iter_mut().for_each(|sink| sink.offer(line));
            start = end;
            self.head = head;
            if let Some(event) = self.waiting.pop_front() {
                self.waiting_bytes -= event.json.len();
            }
        }
        if done > 0 {
            self.torn = bytes.get(done - 1) != Some(&b'\n');
        }
        result.map_err(|error| Error::state("write", self.path(), error))
    }
}

/// How many bytes were written, and why not all.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, std::io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (done, Err(std::io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // Who can tell of a failure has called `finish` before.
        let _ = self.flush();
    }
}
