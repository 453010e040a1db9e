//! A reader in the shim, who waits for more. It holds no file: a reader that is slow does not
//! keep what the log has thrown away.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use stockade_wire::Decoder;

use super::LogRecord;
use super::writer::LogWriter;
use crate::error::{Error, Result};

/// Bytes of a log file that are read at once.
const READ: usize = 128 << 10;

/// A place in a log.
pub(crate) struct Follower {
    log: Arc<LogWriter>,
    serial: u64,
    position: u64,
    decoder: Decoder<LogRecord>,
    ready: VecDeque<LogRecord>,
    /// Nothing before this is wanted.
    from: u64,
}

impl Follower {
    /// Begins at an offset, or with the oldest that is kept after it.
    pub(crate) fn new(log: Arc<LogWriter>, from: u64) -> Self {
        let serial = {
            let state = log.lock();
            let segments = &state.segments;
            let holding = segments.iter().rev().find(|one| one.first_offset <= from);
            holding.or(segments.front()).map_or(0, |one| one.serial)
        };
        Self {
            log,
            serial,
            position: 0,
            decoder: Decoder::new(),
            ready: VecDeque::new(),
            from,
        }
    }

    /// The next record, waiting for it; none when there will be no more. Cancel safe.
    ///
    /// # Errors
    /// [`Error::State`] and [`Error::Corrupt`] if the log cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<LogRecord>> {
        loop {
            let log = Arc::clone(&self.log);
            let more = log.more.notified();
            tokio::pin!(more);
            // From here on nothing is missed, although nobody waits yet.
            more.as_mut().enable();
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if self.take()? {
                continue;
            }
            if self.log.lock().closed {
                return Ok(None);
            }
            more.await;
        }
    }

    /// Reads on; false if there is nothing more now.
    fn take(&mut self) -> Result<bool> {
        let Some((file, length)) = self.place() else {
            return Ok(false);
        };
        let wanted = usize::try_from(length - self.position).unwrap_or(READ).min(READ);
        let mut buffer = vec![0; wanted];
        file.read_exact_at(&mut buffer, self.position)
            .map_err(|error| Error::io("read the sandbox's log", error))?;
        self.position += u64::try_from(wanted).unwrap_or(0);
        let mut input = buffer.as_slice();
        while let Some(record) = self
            .decoder
            .next(&mut input)
            .map_err(|error| Error::protocol(format!("the sandbox's log cannot be read: {error}")))?
        {
            self.ready.extend(record.after(self.from));
        }
        Ok(true)
    }

    /// The file to read on in, and how long it is; none if all was read.
    fn place(&mut self) -> Option<(Arc<std::fs::File>, u64)> {
        let log = Arc::clone(&self.log);
        let state = log.lock();
        let here = state.segments.iter().find(|one| one.serial == self.serial);
        if let Some(segment) = here.filter(|one| one.length > self.position) {
            return Some((Arc::clone(&segment.file), segment.length));
        }
        // Read to its end, or thrown away meanwhile.
        let next = state.segments.iter().find(|one| one.serial > self.serial)?;
        self.serial = next.serial;
        self.position = 0;
        self.decoder = Decoder::new();
        (next.length > 0).then(|| (Arc::clone(&next.file), next.length))
    }
}
