//! Sizes, times and processor shares, with the grammar in which people write them.
//!
//! The grammar (texts to values) is in [`grammar`]; what is printed can be read back.

mod grammar;
mod share;

use serde::{Deserialize, Serialize};

pub use share::{CpuShare, MemoryShare};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

/// A time span in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationMs(pub u64);

/// Processor time: how many processors' worth at most, and the share under contention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CpuLimit {
    /// Thousandths of a processor, at most; none means all.
    pub quota_millis: Option<u32>,
    /// Share under contention, 1 to 10,000; 100 is an ordinary process (cgroup v2 `cpu.weight`).
    pub weight: u16,
}

impl CpuLimit {
    /// The weight when nobody wrote one: a sandbox yields to what the user does meanwhile.
    pub const DEFAULT_WEIGHT: u16 = 25;
}

/// A bound that can be written, or lifted by writing `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit<T> {
    /// At most this.
    AtMost(T),
    /// No bound.
    Off,
}

impl<T> Limit<T> {
    /// The value, if there is a bound.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::AtMost(value) => Some(value),
            Self::Off => None,
        }
    }

    /// The same bound on another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Limit<U> {
        match self {
            Self::AtMost(value) => Limit::AtMost(change(value)),
            Self::Off => Limit::Off,
        }
    }
}

/// Thousandths of a processor, as `--cpus 1.5` writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuMillis(pub u32);

/// A text that is not in the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}; {help}")]
pub struct UnitError {
    /// What was written, cut to a printable length.
    pub text: String,
    /// What it should have been ("a size").
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
    /// The grammar, with an example.
    pub help: &'static str,
}

impl std::fmt::Display for ByteCount {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        match UNITS.iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) if self.0.is_multiple_of(*size) => write!(out, "{} {unit}", self.0 / size),
            Some((size, unit)) => write!(out, "{}.{} {unit}", self.0 / size, (self.0 % size) * 10 / size),
            None => write!(out, "{} B", self.0),
        }
    }
}

impl std::fmt::Display for DurationMs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(out, "{} s", self.0 / 1000)
        } else {
            write!(out, "{} ms", self.0)
        }
    }
}

impl std::fmt::Display for CpuMillis {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{:02} processors", self.0 / 1000, self.0 % 1000 / 10)
    }
}

impl std::fmt::Display for CpuLimit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.quota_millis {
            Some(quota) => write!(out, "{}, weight {}", CpuMillis(quota), self.weight),
            None => write!(out, "all processors, weight {}", self.weight),
        }
    }
}
