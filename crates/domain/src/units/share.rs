//! Shares of a host: as much of it as is written, or what is left beside others.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ByteCount, CpuMillis, Limit, UnitError};

/// The least processor time that all sandboxes together get, whatever is kept from them.
const LEAST_CPU_MILLIS: u32 = 500;

/// Memory, as a number of bytes or a part of all that the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryShare {
    /// So many hundredths.
    Percent(u8),
    /// So many bytes.
    Bytes(ByteCount),
}

/// Processor time, as a number of processors or what a number of them leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuShare {
    /// All processors of the host but so many.
    AllBut(u16),
    /// So many processors' worth.
    Cpus(CpuMillis),
}

impl MemoryShare {
    /// How much that is on a host with so many bytes; none where that has to be known and is not.
    #[must_use]
    pub fn of(self, total_bytes: u64) -> Option<ByteCount> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(_) if total_bytes == 0 => None,
            Self::Percent(percent) => {
                let share = u128::from(total_bytes) * u128::from(percent) / 100;
                u64::try_from(share).ok().map(ByteCount)
            }
        }
    }
}

impl CpuShare {
    /// How much that is on a host with so many processors; at least half a processor is left.
    #[must_use]
    pub fn of(self, processors: u32) -> CpuMillis {
        match self {
            Self::Cpus(millis) => millis,
            Self::AllBut(kept) => {
                let left = processors.saturating_sub(u32::from(kept));
                CpuMillis(left.saturating_mul(1000).max(LEAST_CPU_MILLIS))
            }
        }
    }
}

impl std::fmt::Display for MemoryShare {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(out, "{percent}%"),
            Self::Bytes(bytes) => write!(out, "{bytes}"),
        }
    }
}

impl std::fmt::Display for CpuShare {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AllBut(kept) => write!(out, "all-but-{kept}"),
            Self::Cpus(millis) => write!(out, "{}", f64::from(millis.0) / 1000.0),
        }
    }
}

fn refuse(text: &str, what: &'static str, why: &str, help: &'static str) -> UnitError {
    UnitError {
        text: super::grammar::echo(text),
        what,
        why: why.to_owned(),
        help,
    }
}

impl FromStr for Limit<MemoryShare> {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            let bytes: Limit<ByteCount> = text.parse()?;
            return Ok(bytes.map(MemoryShare::Bytes));
        };
        match percent.trim_end().parse() {
            Ok(percent @ 1..=100) => Ok(Self::AtMost(MemoryShare::Percent(percent))),
            _ => Err(refuse(
                text,
                "a share of memory",
                "it is not between 1% and 100%",
                "write a part of all memory such as 80%, a size such as 16G, or none",
            )),
        }
    }
}

impl FromStr for Limit<CpuShare> {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let Some(kept) = text.trim().strip_prefix("all-but-") else {
            let cpus: Limit<CpuMillis> = text.parse()?;
            return Ok(cpus.map(CpuShare::Cpus));
        };
        kept.parse()
            .map(|kept| Self::AtMost(CpuShare::AllBut(kept)))
            .map_err(|_| {
                refuse(
                    text,
                    "a share of the processors",
                    "a number of processors follows all-but-",
                    "write all-but-1, how many processors' worth such as 6, or none",
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(text: &str) -> Option<ByteCount> {
        let share: Limit<MemoryShare> = text.parse().expect(text);
        share.value().and_then(|share| share.of(1000))
    }

    fn cpus(text: &str, processors: u32) -> Option<u32> {
        let share: Limit<CpuShare> = text.parse().expect(text);
        share.value().map(|share| share.of(processors).0)
    }

    #[test]
    fn memory_is_a_part_or_a_size() {
        assert_eq!(memory("80%"), Some(ByteCount(800)));
        assert_eq!(memory("512"), Some(ByteCount(512)));
        assert_eq!(memory("none"), None);
        assert_eq!(MemoryShare::Percent(80).of(0), None);
        assert_eq!(MemoryShare::Percent(100).of(u64::MAX), Some(ByteCount(u64::MAX)));
    }

    #[test]
    fn something_is_left_of_the_processors() {
        assert_eq!(cpus("all-but-1", 8), Some(7000));
        assert_eq!(cpus("all-but-1", 1), Some(500));
        assert_eq!(cpus("all-but-9", 4), Some(500));
        assert_eq!(cpus("1.5", 4), Some(1500));
        assert_eq!(cpus("none", 4), None);
    }

    #[test]
    fn what_is_no_share_is_refused_with_the_grammar() {
        for text in ["0%", "101%", "-1%", "x%", "%"] {
            let error = text.parse::<Limit<MemoryShare>>().expect_err(text).to_string();
            assert!(error.contains("between 1% and 100%"), "{error}");
        }
        for text in ["all-but-", "all-but-x", "all-but--1"] {
            let error = text.parse::<Limit<CpuShare>>().expect_err(text).to_string();
            assert!(error.contains("write all-but-1"), "{error}");
        }
    }
}
