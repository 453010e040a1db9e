//! How a run ended: what the host decided comes before what the guest says.

use stockade_domain::units::{ByteCount, DurationMs};
use stockade_domain::{Ended, Exit};
use stockade_wire::ExitStatus;

use super::HostLimits;
use crate::driver::Boundary;
use crate::error::{Error, Result};

pub(super) const SIGKILL: u8 = 9;
const SIGPIPE: i32 = 13;

/// How a run ended, and who decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub exit: Exit,
    pub why: Option<String>,
}

impl Verdict {
    /// How the reason begins where the change set was too large.
    pub const DISK: &str = "disk limit";
    /// What the limit on memory is called.
    pub const MEMORY: &str = "memory limit";

    fn because(exit: Exit, why: impl Into<String>) -> Self {
        Self {
            exit,
            why: Some(why.into()),
        }
    }

    pub fn timed_out(limits: &HostLimits) -> Self {
        let millis = limits
            .wall
            .map_or(0, |wall| u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Self::because(Exit::TimedOut, format!("time limit of {}", DurationMs(millis)))
    }

    pub fn output_limit(limits: &HostLimits) -> Self {
        Self::because(
            Exit::OutputLimit,
            format!("output limit of {}", ByteCount(limits.output.unwrap_or(0))),
        )
    }

    pub fn disk_limit(limits: &HostLimits) -> Self {
        Self::because(
            Exit::Killed,
            format!("{} of {}", Self::DISK, ByteCount(limits.disk.unwrap_or(0))),
        )
    }

    /// Its time to live is over.
    pub fn lived_enough() -> Self {
        Self::because(Exit::TimedOut, "its time to live is over (--ttl)")
    }

    /// Nothing happened in it for long enough.
    pub fn idle() -> Self {
        Self::because(Exit::Killed, "nothing happened in it (--idle)")
    }

    /// Nobody could find it any more.
    pub fn unrecorded() -> Self {
        Self::because(Exit::Killed, "its record in the state directory was removed")
    }

    pub fn stopped(by: impl Into<String>) -> Self {
        Self::because(Exit::Killed, by)
    }

    /// Nobody reads the output: what would have happened to a process of the host itself.
    pub fn deaf() -> Self {
        Self::because(Exit::Signal(SIGPIPE), "nobody reads its output")
    }

    /// The command ended by itself, or the kernel ended it.
    pub async fn of_command(status: ExitStatus, boundary: &dyn Boundary) -> Self {
        let exit = match status {
            ExitStatus::Code(code) => Exit::Code(code.into()),
            ExitStatus::Signal(SIGKILL) if oom_kills(boundary).await > 0 => {
                return Self::because(Exit::OutOfMemory, Self::MEMORY);
            }
            ExitStatus::Signal(number) => Exit::Signal(number.into()),
        };
        Self { exit, why: None }
    }

    /// The sandbox as a whole ended, and the command's own end was not heard.
    pub fn of_sandbox(ended: &Ended) -> Result<Self> {
        match ended {
            Ended::OutOfMemory => Ok(Self::because(Exit::OutOfMemory, Self::MEMORY)),
            Ended::Stopped => Ok(Self::because(Exit::Killed, "the sandbox was stopped")),
            Ended::GuestKilled(signal) => Ok(Self::because(
                Exit::Killed,
                format!("its first process was killed by signal {signal}"),
            )),
            Ended::GuestExited(code) => Err(Error::LinkLost {
                why: format!("the guest ended by itself with code {code}"),
            }),
            Ended::Lost(why) => Err(Error::LinkLost { why: why.clone() }),
        }
    }
}

/// Zero where it cannot be told.
async fn oom_kills(boundary: &dyn Boundary) -> u64 {
    boundary
        .usage()
        .await
        .ok()
        .and_then(|usage| usage.oom_kills)
        .unwrap_or(0)
}
