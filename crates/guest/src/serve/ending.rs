//! The end of the sandbox.

use std::time::{Duration, Instant};

use stockade_wire::ToHost;

use super::Guest;
use crate::sys;

/// How long killed processes and the last output have to go away.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// An end that is under way.
pub struct Ending {
    /// When what still runs is killed.
    kill_at: Instant,
    killed: bool,
    /// Only commands end; files are served on.
    stays: bool,
}

impl Ending {
    /// When to go on.
    pub fn deadline(&self) -> Instant {
        if self.killed {
            self.kill_at + LAST_GRACE
        } else {
            self.kill_at
        }
    }
}

impl Guest {
    /// Asks all processes to end. Asked again, only an earlier kill counts, and that not even this one stays.
    pub(super) fn begin_ending(&mut self, grace_ms: u32, stays: bool) {
        if stays && self.quiet {
            // It was told, and nothing has begun since.
            return;
        }
        let kill_at = self.now + Duration::from_millis(grace_ms.into());
        match &mut self.ending {
            Some(ending) => {
                ending.stays &= stays;
                if !ending.killed {
                    ending.kill_at = ending.kill_at.min(kill_at);
                }
            }
            None => {
                self.ending = Some(Ending {
                    kill_at,
                    killed: false,
                    stays,
                });
                self.closed = true;
                self.files.end();
                self.signal_all(libc::SIGTERM);
                // Who is stopped gets it only when it goes on.
                self.signal_all(libc::SIGCONT);
            }
        }
    }

    /// Takes the next step of the end, if one is due. True once there is nothing left to do.
    pub(super) fn advance_ending(&mut self) -> bool {
        let Some(ending) = &mut self.ending else {
            return false;
        };
        let is_told = self
            .link
            .as_ref()
            .is_none_or(|link| link.channel.queued() == 0 && self.execs.all_told());
        // Who stays may tell the rest later.
        if self.childless && (is_told || ending.stays) {
            return self.ended();
        }
        if ending.deadline() > self.now {
            return false;
        }
        if ending.killed {
            return self.ended();
        }
        ending.killed = true;
        ending.kill_at = self.now;
        self.kill_all();
        false
    }

    /// True if this one ends, too.
    fn ended(&mut self) -> bool {
        if !self.ending.take().is_some_and(|ending| ending.stays) {
            return true;
        }
        self.quiet = true;
        let all = self.childless;
        if let Some(link) = &mut self.link {
            link.channel.queue(&ToHost::Quiet { all });
        }
        self.tell();
        false
    }

    /// Kills every process of the sandbox but this one.
    pub(super) fn kill_all(&mut self) {
        self.signal_all(libc::SIGKILL);
    }

    fn signal_all(&mut self, signal: i32) {
        for exec in self.execs.iter_mut() {
            exec.signal(u8::try_from(signal).unwrap_or(9), true);
        }
        if self.contained {
            sys::kill_everything(signal);
        }
    }
}
