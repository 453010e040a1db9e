//! Sizes, times and processor shares, with the grammar in which people write them.

use serde::{Deserialize, Serialize};

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

impl std::fmt::Display for ByteCount {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) if self.0 % size == 0 => write!(out, "{} {unit}", self.0 / size),
            Some((size, unit)) => write!(out, "{}.{} {unit}", self.0 / size, (self.0 % size) * 10 / size),
            None => write!(out, "{} B", self.0),
        }
    }
}

impl std::fmt::Display for DurationMs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 % 1000 == 0 { write!(out, "{} s", self.0 / 1000) } else { write!(out, "{} ms", self.0) }
    }
}

impl std::fmt::Display for CpuLimit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.quota_millis {
            Some(quota) => write!(out, "{}.{:02} processors, weight {}", quota / 1000, quota % 1000 / 10, self.weight),
            None => write!(out, "all processors, weight {}", self.weight),
        }
    }
}
