//! The first command of a detached sandbox, for those who attach to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stockade_wire::WindowSize;
use tokio::sync::Notify;

use super::stdio::{Input, Io, Output};
use crate::error::Result;
use crate::logs::LogWriter;
use crate::session::ExecControl;

/// Input that waits for the command, at most.
const MAX_WAITING: usize = 256 << 10;

/// What others see and reach of the first command.
pub(crate) struct First {
    pub(crate) log: Arc<LogWriter>,
    /// None: it takes no input.
    pub(crate) feed: Option<Arc<Feed>>,
    pub(crate) tty: bool,
    control: Option<ExecControl>,
    has_writer: AtomicBool,
}

impl First {
    pub(super) fn new(
        log: Arc<LogWriter>,
        feed: Option<Arc<Feed>>,
        tty: bool,
        control: Option<ExecControl>,
    ) -> Self {
        Self {
            log,
            feed,
            tty,
            control,
            has_writer: AtomicBool::new(false),
        }
    }

    /// Its terminal has another size.
    pub(crate) fn resize(&self, size: WindowSize) -> Result<()> {
        self.control
            .as_ref()
            .map_or(Ok(()), |control| control.resize(size))
    }

    /// The right to type, which one has at a time.
    pub(crate) fn take_writing(self: &Arc<Self>) -> Option<Writing> {
        let taken = self.has_writer.swap(true, Ordering::Relaxed);
        (!taken).then(|| Writing(Arc::clone(self)))
    }
}

/// The right to type; it is given back when this is dropped.
pub(crate) struct Writing(Arc<First>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.has_writer.store(false, Ordering::Relaxed);
    }
}

/// Streams of a command whose output is kept and whose input comes from whoever is attached.
pub(super) fn streams(log: &Arc<LogWriter>, feed: Option<&Arc<Feed>>) -> Io {
    use stockade_wire::Stream;
    Io {
        stdin: feed.map(|feed| Input::from_feed(Arc::clone(feed))),
        stdout: Output::to_log(Arc::clone(log), Stream::Stdout),
        stderr: Output::to_log(Arc::clone(log), Stream::Stderr),
    }
}

/// Input on its way to the command.
#[derive(Default)]
pub(crate) struct Feed {
    state: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as much as there is room for and says how much that was.
    pub(crate) fn push(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        if state.ended {
            return bytes.len();
        }
        let taken = bytes.get(..MAX_WAITING - state.bytes.len()).unwrap_or(bytes);
        state.bytes.extend(taken);
        drop(state);
        self.changed.notify_waiters();
        taken.len()
    }

    /// The input ends.
    pub(crate) fn finish(&self) {
        self.lock().ended = true;
        self.changed.notify_waiters();
    }

    /// Waits for room. Cancel safe.
    pub(crate) async fn room(&self) {
        self.until(|state| (state.ended || state.bytes.len() < MAX_WAITING).then_some(()))
            .await;
    }

    /// Waits for bytes; 0 is the end. Cancel safe.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> usize {
        let count = self
            .until(|state| {
                let count = state.bytes.len().min(buffer.len());
                for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
                    *place = byte;
                }
                (count > 0 || state.ended).then_some(count)
            })
            .await;
        self.changed.notify_waiters();
        count
    }

    async fn until<T>(&self, mut look: impl FnMut(&mut Waiting) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on nothing is missed, although nobody waits yet.
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }
}
