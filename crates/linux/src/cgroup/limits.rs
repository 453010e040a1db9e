//! The limits of a group, and how they are written in the kernel's units.

use stockade_domain::units::CpuLimit;

use super::controller::Controller;
use super::{Error, Result};

/// What a group may use; none means that this is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Memory in bytes, with no swap on top.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Processor time.
    pub cpu: Option<CpuLimit>,
}

impl GroupLimits {
    /// The controllers that these limits need.
    pub(super) fn needs(&self) -> Vec<Controller> {
        let needed = |controller: &Controller| match controller {
            Controller::Memory => self.memory_bytes.is_some(),
            Controller::Pids => self.pids.is_some(),
            Controller::Cpu => self.cpu.is_some(),
            Controller::Cpuacct | Controller::Freezer => false,
        };
        Controller::ALL.into_iter().filter(needed).collect()
    }

    /// The same limits as the kernel keeps them: memory in whole pages. To be compared with
    /// what [`super::Group::read_limits`] returns.
    #[must_use]
    pub fn as_kept(&self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.map(whole_pages),
            ..*self
        }
    }

    /// Refuses values that the kernel would refuse or bend.
    pub(super) fn check(&self) -> Result<()> {
        let page = page_bytes();
        if let Some(value) = self.memory_bytes.filter(|bytes| *bytes < page) {
            return Err(Error::BadLimit {
                what: "memory",
                value,
                rule: "at least one page",
            });
        }
        if self.pids == Some(0) {
            return Err(Error::BadLimit {
                what: "pids",
                value: 0,
                rule: "at least 1",
            });
        }
        let Some(cpu) = self.cpu else { return Ok(()) };
        if cpu.quota_millis == Some(0) {
            return Err(Error::BadLimit {
                what: "cpu",
                value: 0,
                rule: "at least a thousandth of a processor",
            });
        }
        if !(1..=10_000).contains(&cpu.weight) {
            let value = u64::from(cpu.weight);
            return Err(Error::BadLimit {
                what: "cpu weight",
                value,
                rule: "between 1 and 10000",
            });
        }
        Ok(())
    }
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// The kernel keeps memory limits in whole pages, rounded down.
pub(super) fn whole_pages(bytes: u64) -> u64 {
    bytes - bytes % page_bytes()
}

/// The largest limit that v1 shows, which stands for none: the largest whole number of pages.
pub(super) fn v1_unlimited() -> u64 {
    whole_pages(u64::MAX >> 1)
}

/// A processor quota in microseconds within a period: the usual 100 ms, but a whole second
/// where the quota would be below the kernel's smallest (1 ms).
pub(super) fn bandwidth(quota_millis: u32) -> (u64, u64) {
    let quota = u64::from(quota_millis);
    if quota >= 10 {
        (quota * 100, 100_000)
    } else {
        (quota * 1000, 1_000_000)
    }
}

/// Thousandths of a processor from a quota and its period.
pub(super) fn quota_millis(quota_us: u64, period_us: u64) -> Option<u32> {
    quota_us
        .checked_mul(1000)?
        .checked_div(period_us)?
        .try_into()
        .ok()
}

/// The v1 `cpu.shares` for a weight: 1024 is what 100 is on v2.
pub(super) fn shares(weight: u16) -> u64 {
    u64::from(weight) * 1024 / 100
}

/// The weight that [`shares`] was made from.
pub(super) fn weight(shares: u64) -> Option<u16> {
    shares.checked_mul(100)?.div_ceil(1024).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_survives_the_way_through_shares() {
        for value in 1..=10_000 {
            assert_eq!(weight(shares(value)), Some(value));
        }
    }

    #[test]
    fn every_quota_survives_and_is_at_least_a_millisecond() {
        for millis in (1..3000).chain([4_000_000, u32::MAX]) {
            let (quota, period) = bandwidth(millis);
            assert!(quota >= 1000);
            assert_eq!(quota_millis(quota, period), Some(millis));
        }
    }

    #[test]
    fn limits_that_would_stop_everything_are_refused() {
        let cpu = |quota_millis, weight| Some(CpuLimit { quota_millis, weight });
        let none = GroupLimits::default();
        assert!(none.check().is_ok());
        assert!(
            GroupLimits {
                memory_bytes: Some(100),
                ..none
            }
            .check()
            .is_err()
        );
        assert!(
            GroupLimits {
                pids: Some(0),
                ..none
            }
            .check()
            .is_err()
        );
        assert!(
            GroupLimits {
                cpu: cpu(Some(0), 100),
                ..none
            }
            .check()
            .is_err()
        );
        assert!(
            GroupLimits {
                cpu: cpu(None, 0),
                ..none
            }
            .check()
            .is_err()
        );
        assert!(
            GroupLimits {
                cpu: cpu(None, 10_001),
                ..none
            }
            .check()
            .is_err()
        );
        assert!(
            GroupLimits {
                memory_bytes: Some(1 << 20),
                pids: Some(1),
                cpu: cpu(Some(1), 1)
            }
            .check()
            .is_ok()
        );
    }

    #[test]
    fn memory_is_kept_in_whole_pages() {
        let asked = GroupLimits {
            memory_bytes: Some((1 << 20) + 1),
            ..GroupLimits::default()
        };
        assert_eq!(asked.as_kept().memory_bytes, Some(1 << 20));
    }
}
