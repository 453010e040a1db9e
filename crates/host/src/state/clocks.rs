//! How old something is, by clocks of which one can be set.

use std::time::Duration;

use super::{Listed, Status, boot_time, unix_ms};

/// The two clocks are not read in one moment.
const APART_MS: u64 = 1_000;

/// What the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Milliseconds since 1970: somebody may set this clock, forward or back.
    pub unix_ms: u64,
    /// Since the machine was started: nobody can.
    pub since_boot: Duration,
}

impl Clocks {
    /// What they say now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            unix_ms: unix_ms(),
            since_boot: boot_time(),
        }
    }

    /// The latter in milliseconds.
    pub(crate) fn boot_ms(&self) -> u64 {
        u64::try_from(self.since_boot.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Listed {
    /// How old the sandbox is: while it lives, by the clock that nobody can set; afterwards, when the machine
    /// may have been started anew, by the time of day.
    #[must_use]
    pub fn age(&self, clocks: Clocks) -> Duration {
        let by_day = || Duration::from_millis(clocks.unix_ms.saturating_sub(self.status.created_ms));
        let made = self.status.created_boot_ms.filter(|_| self.live);
        let by_boot = made.map(|made| clocks.since_boot.saturating_sub(Duration::from_millis(made)));
        by_boot.unwrap_or_else(by_day)
    }
}

impl Status {
    /// True if somebody has set the time of day back since the sandbox was made: then what the host wrote
    /// afterwards can bear a time before that.
    pub(super) fn saw_time_set_back(&self, now: Clocks) -> bool {
        let passed = self
            .created_boot_ms
            .and_then(|made| now.boot_ms().checked_sub(made));
        passed.is_some_and(|passed| {
            let expected = self.created_ms.saturating_add(passed);
            now.unix_ms.saturating_add(APART_MS) < expected
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{NewSandbox, StateDirs};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A sandbox that was made at this moment.
    fn listed() -> (Listed, Clocks) {
        let place = tempfile::tempdir().unwrap();
        let dirs = std::sync::Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
        let folder = dirs.create(NewSandbox::default()).unwrap();
        let clocks = Clocks::now();
        (dirs.find(folder.id()).unwrap(), clocks)
    }

    fn set(clocks: Clocks, by_ms: i64) -> Clocks {
        Clocks {
            unix_ms: clocks.unix_ms.saturating_add_signed(by_ms),
            ..clocks
        }
    }

    fn wait(clocks: Clocks, time: Duration) -> Clocks {
        Clocks {
            unix_ms: clocks.unix_ms + u64::try_from(time.as_millis()).unwrap(),
            since_boot: clocks.since_boot + time,
        }
    }

    #[test]
    fn a_living_one_ages_by_what_passes_and_not_by_what_is_set() {
        let (listed, begin) = listed();
        assert!(listed.live);
        let young = listed.age(begin);
        let day_ms = i64::try_from(DAY.as_millis()).unwrap();
        for jump in [day_ms, -day_ms, i64::MIN, i64::MAX] {
            assert_eq!(listed.age(set(begin, jump)), young);
            // A day passes, and only then it is a day older.
            assert_eq!(listed.age(wait(set(begin, jump / 2), DAY)), young + DAY);
        }
    }

    #[test]
    fn time_that_is_set_back_is_seen_and_time_that_passes_is_not() {
        let (listed, begin) = listed();
        let set_back = |clocks| listed.status.saw_time_set_back(clocks);
        let hour_ms = 3_600_000;
        for clocks in [
            begin,
            wait(begin, DAY),
            set(begin, hour_ms),
            set(wait(begin, DAY), hour_ms),
        ] {
            assert!(!set_back(clocks), "{clocks:?}");
        }
        for clocks in [
            set(begin, -hour_ms),
            set(wait(begin, DAY), -hour_ms),
            set(begin, i64::MIN),
        ] {
            assert!(set_back(clocks), "{clocks:?}");
        }
        // After the machine was started anew nothing can be told, and nothing is claimed.
        let anew = Clocks {
            since_boot: Duration::ZERO,
            ..set(begin, -hour_ms)
        };
        assert!(!set_back(anew));
    }

    #[test]
    fn one_that_ended_is_never_older_than_time_itself() {
        let (listed, begin) = listed();
        let ended = Listed {
            live: false,
            ..listed
        };
        assert!(ended.age(wait(begin, DAY)) >= DAY);
        assert_eq!(ended.age(set(begin, i64::MIN)), Duration::ZERO);
    }
}
