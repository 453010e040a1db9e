//! Events of a run as JSON lines on a file descriptor of the caller's.

use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde::Serialize;
use stockade_domain::plan::Missing;
use stockade_domain::{Planned, Receipt};

use super::Outcome;

/// What happens in a run. Fields may be added; names and meanings stay.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event<'a> {
    /// The sandbox stands, its receipt is checked, the command starts.
    Started {
        /// The sandbox's id.
        id: &'a str,
        /// The sandbox's name.
        sandbox: &'a str,
        /// The driver.
        driver: &'a str,
        /// How many controls are verified.
        verified: usize,
        /// How many had to be.
        controls: usize,
        /// Preferred controls that are not enforced.
        shortfalls: Vec<&'a Planned>,
    },
    /// The command ended.
    Ended {
        /// How.
        #[serde(flatten)]
        outcome: &'a Outcome,
        /// The evidence, taken before the command started.
        receipt: &'a Receipt,
    },
    /// There was no sandbox, or the command did not start.
    Failed {
        /// Exit code of Stockade.
        code: i32,
        /// What, why and what to do.
        error: &'a str,
        /// The required controls that are missing, if that is the reason.
        missing: &'a [Missing],
    },
}

/// The caller's file descriptor.
pub struct StatusFd(OwnedFd);

impl StatusFd {
    /// Takes a descriptor that the caller left open for us, by its number.
    ///
    /// # Errors
    /// No such descriptor is open, or it cannot be written.
    pub fn open(number: RawFd) -> std::io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOCTTY | OFlags::CLOEXEC;
        // A number is turned into an owned descriptor without `unsafe`, and closed on exec,
        // by opening it anew; sockets cannot be opened and are duplicated instead.
        let reopened = rustix::fs::open(format!("/proc/self/fd/{number}"), flags, Mode::empty());
        Ok(Self(match reopened {
            Ok(fd) => fd,
            Err(_) => {
                let own = pidfd_open(getpid(), PidfdFlags::empty())?;
                pidfd_getfd(own, number, PidfdGetfdFlags::empty())?
            }
        }))
    }

    /// Writes an event. A reader that is gone changes nothing about the run.
    pub fn send(&self, event: &Event<'_>) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.0, rest) {
                Ok(0) => return,
                Ok(count) => rest = &rest[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_number_is_refused() {
        assert!(StatusFd::open(987).is_err());
    }
}
