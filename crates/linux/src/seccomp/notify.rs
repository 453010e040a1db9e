//! Hearing of calls that a filter tells: the supervisor's end. Whoever is told of lets the call
//! go on, always. Nothing is decided here: what is read of the caller can be changed by its
//! other threads before the kernel reads it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::sys;

/// Where processes that start a program are told of.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A process that waits to start a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    id: u64,
    /// The thread, as numbered for this process.
    pub thread: u32,
    /// The call's number.
    pub call: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Listener {
    /// Takes the descriptor that [`super::install_telling`] gave.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        // Since Linux 6.6; without it there are two more switches between processors.
        let _ = sys::wake_in_turns(descriptor.as_fd());
        Self(descriptor)
    }

    /// The next that waits. None if it has been killed meanwhile.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self) -> Result<Option<Question>, Errno> {
        match sys::receive(self.0.as_fd()) {
            Ok(asked) => Ok(Some(Question {
                id: asked.id,
                thread: asked.pid,
                call: asked.data.nr.into(),
                arguments: asked.data.args,
            })),
            Err(Errno::NOENT | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// True if the caller still waits: what was read of the process of its number since it was
    /// told of, was read of that process.
    #[must_use]
    pub fn still_waits(&self, question: &Question) -> bool {
        sys::still_waits(self.0.as_fd(), question.id)
    }

    /// Lets the call go on.
    ///
    /// # Errors
    /// The kernel's. A caller that has been killed is none.
    pub fn go_on(&self, question: &Question) -> Result<(), Errno> {
        match sys::go_on(self.0.as_fd(), question.id) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
