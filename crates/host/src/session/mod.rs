//! The host's end of a link: commands, their streams, and files.
//!
//! ```text
//! core     what is true: commands, streams, what is to be said next. No I/O, no waiting
//! said     what the guest says, checked
//! pump     moves bytes between the core and the link
//! exec     one command, for its users
//! files    files inside
//! asks     what commands inside ask for
//! ```
//!
//! Every byte from the guest is hostile: what breaks the protocol ends the session with
//! [`Error::Protocol`], and all buffers are bounded by the protocol's windows.

mod asks;
mod command;
mod core;
mod exec;
mod execs;
mod files;
mod pump;
mod said;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

pub use command::Command;
pub use exec::{Exec, ExecControl, ExecEvent, ExecInput};
pub(crate) use files::AskedFile;
use stockade_wire::ToGuest;

use self::core::{Core, Failure};
use crate::driver::Link;
use crate::error::{Error, Result};

/// What a session's handles and its pump share.
pub(crate) struct Shared {
    core: Mutex<Core>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        // Nothing in the core is left half-changed by a panic: there is none in it.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation with a guest. It outlives the links that carry it.
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// Begins a conversation. Does not wait for the guest's greeting: what is asked travels
    /// with ours; a greeting that does not fit ends the session. Needs a tokio runtime.
    ///
    /// When the link drops, everything waits until [`Session::resume`] or
    /// [`Session::close`]; [`Session::lost`] tells of it.
    #[must_use]
    pub fn connect(link: Link, generation: u64) -> Self {
        let core = Core::new(generation, crate::state::random_bytes());
        let session = Self {
            shared: Arc::new(Shared {
                core: Mutex::new(core),
            }),
        };
        session.attach(link);
        session
    }

    /// Goes on, on another link to the same guest.
    pub fn resume(&self, link: Link) {
        self.attach(link);
    }

    fn attach(&self, link: Link) {
        let serial = self.shared.lock().link_up();
        tokio::spawn(pump::run(link, Arc::clone(&self.shared), serial));
    }

    /// Waits until the guest has greeted.
    ///
    /// # Errors
    /// Why the session ended instead.
    pub async fn greeted(&self) -> Result<()> {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            if let Some(failure) = core.failure() {
                return Poll::Ready(Err(failure.error()));
            }
            if core.is_greeted() {
                return Poll::Ready(Ok(()));
            }
            core.watch_link(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Waits until the link is lost or the session has ended, and says why.
    pub async fn lost(&self) -> Error {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            if let Some(failure) = core.failure() {
                return Poll::Ready(failure.error());
            }
            if let Some(why) = core.link_down_why() {
                return Poll::Ready(Error::LinkLost { why });
            }
            core.watch_link(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Why the session ended, if it has.
    #[must_use]
    pub fn failed(&self) -> Option<Error> {
        self.shared.lock().failure().map(Failure::error)
    }

    /// Ends the session: everything that waits gets this reason.
    pub fn close(&self, why: impl Into<String>) {
        self.shared.lock().fail(Failure::LinkLost(why.into()));
    }

    /// Starts a command. Its failure to start comes as the error of [`Exec::next`].
    ///
    /// # Errors
    /// If the request cannot be put into a message, or the session has ended.
    pub fn exec(&self, command: &Command) -> Result<Exec> {
        self.exec_after(command, |_| Ok(()))
    }

    /// The same, but only if `before`, which is told the command's number, has succeeded: for
    /// what has to be recorded before it runs.
    ///
    /// # Errors
    /// As [`Self::exec`], and what `before` says.
    pub fn exec_after(&self, command: &Command, before: impl FnOnce(u32) -> Result<()>) -> Result<Exec> {
        let (id, request) = {
            let mut core = self.shared.lock();
            core.check()?;
            let id = core.new_exec_id()?;
            (id, command.request(id)?)
        };
        before(id.0)?;
        self.shared.lock().start(request);
        Ok(Exec::new(Arc::clone(&self.shared), id, command.name()))
    }

    /// Asks the guest to end: all commands get SIGTERM, and SIGKILL after the grace.
    pub fn shut_down(&self, grace: Duration) {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        self.shared.lock().say(ToGuest::Shutdown { grace_ms });
    }
}

impl Session {
    /// Has the guest end all commands, with SIGTERM and after the grace with SIGKILL, and waits for it. Files can be
    /// asked for afterwards, and no command is started any more. False if something may still run.
    ///
    /// # Errors
    /// Why the session ended, and [`Error::LinkLost`] if the link dropped meanwhile.
    pub(crate) async fn quiet(&self, grace: Duration) -> Result<bool> {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        // Asked again, it may be in a hurry; it answers once.
        self.shared.lock().ask_for_quiet(ToGuest::Quiet { grace_ms });
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            core.check()?;
            if let Some(all) = core.quiet() {
                return Poll::Ready(Ok(all));
            }
            if let Some(why) = core.link_down_why() {
                return Poll::Ready(Err(Error::LinkLost { why }));
            }
            core.watch_link(cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close("the session was closed");
    }
}

#[cfg(test)]
mod tests;
