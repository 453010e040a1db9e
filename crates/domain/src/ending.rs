//! How a run ended: six results that mean the same on every driver.

use serde::{Deserialize, Serialize};

/// How a command ended. The last four are decided by the host, never by what is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "cause", content = "value")]
pub enum Exit {
    /// It exited by itself with this code (0 to 255).
    Code(i32),
    /// A signal that was not the host's ended it.
    Signal(i32),
    /// The kernel killed it at the memory limit.
    OutOfMemory,
    /// The time limit passed.
    TimedOut,
    /// It wrote more output than allowed.
    OutputLimit,
    /// It was stopped from outside (`stockade stop`, a closing supervisor).
    Killed,
}

impl Exit {
    /// The exit code of `stockade` for this ending: the child's own; 128+N for a signal;
    /// 124 time limit; 137 out of memory or killed; 125 is never produced here.
    /// Output over the limit is a kill by Stockade: 137 as well, the cause is in the status.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal(number) => 128 + number,
            Self::TimedOut => 124,
            Self::OutOfMemory | Self::Killed | Self::OutputLimit => 137,
        }
    }
}

/// How a sandbox as a whole ended, told from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The guest left by itself with this code.
    GuestExited(i32),
    /// The guest was killed by this signal and the host did not send it.
    GuestKilled(i32),
    /// The guest itself was killed at the memory limit.
    OutOfMemory,
    /// The host stopped it.
    Stopped,
    /// The engine or provider ended it, in its words (eviction, panic, spot reclaim).
    Lost(String),
}

/// What a sandbox used, measured from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all processes, in microseconds.
    pub cpu_us: Option<u64>,
    /// Memory now, in bytes.
    pub memory_bytes: Option<u64>,
    /// Highest memory so far, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// Processes killed at the memory limit so far.
    pub oom_kills: Option<u64>,
    /// Bytes in the change set.
    pub disk_bytes: Option<u64>,
}
