//! The shim's end: files of bounded size. When the newest is full, another begins and the
//! oldest goes.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use stockade_wire::limits::CHUNK;
use stockade_wire::{Stream, encode};
use tokio::sync::Notify;

use super::{LogRecord, MIN_LOG_BYTES, PREFIX};
use crate::error::{Error, Result};
use crate::state::{Dir, boot_time, unix_ms};

/// Files of a log at once.
const FILES: usize = 2;

/// A log that is written.
pub(crate) struct LogWriter {
    dir: Dir,
    file_bytes: u64,
    state: Mutex<State>,
    pub(super) more: Notify,
}

/// One file.
pub(super) struct Segment {
    pub serial: u64,
    pub file: Arc<File>,
    pub first_offset: u64,
    pub length: u64,
}

pub(super) struct State {
    pub segments: VecDeque<Segment>,
    /// Bytes of output so far, kept or not.
    pub end: u64,
    /// When something was written, by the clock of alarms.
    last_write: Duration,
    /// There will be no more.
    pub closed: bool,
    /// Why something could not be kept; the first reason.
    problem: Option<Error>,
}

impl LogWriter {
    /// Begins a log in a sandbox's directory that keeps about `bytes`.
    ///
    /// # Errors
    /// [`Error::State`].
    pub(crate) fn create(dir: Dir, bytes: u64) -> Result<Self> {
        let first = open_segment(&dir, 0, 0)?;
        let files = u64::try_from(FILES).unwrap_or(u64::MAX);
        Ok(Self {
            dir,
            file_bytes: bytes.max(MIN_LOG_BYTES) / files,
            state: Mutex::new(State {
                segments: VecDeque::from([first]),
                end: 0,
                last_write: Duration::ZERO,
                closed: false,
                problem: None,
            }),
            more: Notify::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds output. Never waits for readers. What cannot be kept is a gap, and no reason to
    /// end the sandbox.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.lock();
        state.last_write = boot_time();
        for bytes in bytes.chunks(CHUNK) {
            let record = LogRecord {
                at_ms: unix_ms(),
                offset: state.end,
                stream,
                bytes: bytes.to_vec(),
            };
            state.end = record.end();
            if let Err(error) = self.append(&mut state, &record) {
                state.problem.get_or_insert(error);
            }
        }
        drop(state);
        self.more.notify_waiters();
    }

    fn append(&self, state: &mut State, record: &LogRecord) -> Result<()> {
        if state
            .segments
            .back()
            .is_none_or(|newest| newest.length >= self.file_bytes)
        {
            self.rotate(state, record.offset)?;
        }
        let Some(newest) = state.segments.back_mut() else {
            return Ok(());
        };
        let mut frame = Vec::with_capacity(record.bytes.len() + 32);
        encode(record, &mut frame).map_err(|error| Error::protocol(error.to_string()))?;
        // At a place that is counted here: what was cut off by a full disk is written over.
        newest.file.write_all_at(&frame, newest.length).map_err(|error| {
            // A part of a record must not be taken for one.
            let _ = newest.file.set_len(newest.length);
            Error::state("write", self.dir.path().join(name(newest.serial)), error)
        })?;
        newest.length += u64::try_from(frame.len()).unwrap_or(0);
        Ok(())
    }

    fn rotate(&self, state: &mut State, offset: u64) -> Result<()> {
        let serial = state.segments.back().map_or(0, |newest| newest.serial + 1);
        let segment = open_segment(&self.dir, serial, offset)?;
        state.segments.push_back(segment);
        while state.segments.len() > FILES {
            if let Some(oldest) = state.segments.pop_front() {
                self.dir.remove_file(&name(oldest.serial))?;
            }
        }
        Ok(())
    }

    /// There will be no more output: those who wait for it are told.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_waiters();
    }

    /// Why something could not be kept.
    pub(crate) fn problem(&self) -> Option<Error> {
        self.lock().problem.take()
    }

    /// When something was written last, by [`boot_time`].
    pub(crate) fn last_write(&self) -> Duration {
        self.lock().last_write
    }

    /// Bytes of output so far.
    pub(crate) fn end(&self) -> u64 {
        self.lock().end
    }
}

fn open_segment(dir: &Dir, serial: u64, first_offset: u64) -> Result<Segment> {
    let name = name(serial);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir.fd(), name.as_str(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| dir.error("write", &name, error))?;
    Ok(Segment {
        serial,
        file: Arc::new(fd.into()),
        first_offset,
        length: 0,
    })
}

fn name(serial: u64) -> String {
    format!("{PREFIX}{serial}")
}
