//! Which time an applied file gets.
//!
//! Not the one it has inside: it may be forged, and a file that is older than what the host
//! built meanwhile would not be built again. All get the time at which they are applied, some
//! nanoseconds apart, in the order in which they were written inside, so that what was made
//! from another file is still newer than that file.

use rustix::fs::Timespec;

use crate::change::{Change, Moment};

const NANOS: u64 = 1_000_000_000;

/// The times of all files of one apply.
#[derive(Debug)]
pub(super) struct Clock {
    moments: Vec<Moment>,
    end_ns: u64,
}

impl Clock {
    pub(super) fn new<'a>(changes: impl Iterator<Item = &'a Change>, now_ms: u64) -> Self {
        let mut moments: Vec<Moment> = changes
            .filter_map(|change| change.after)
            .map(|after| after.stamp.modified)
            .collect();
        moments.sort_unstable();
        moments.dedup();
        Self {
            moments,
            end_ns: now_ms.saturating_mul(1_000_000),
        }
    }

    pub(super) fn time(&self, inside: Moment) -> Timespec {
        let (Ok(rank) | Err(rank)) = self.moments.binary_search(&inside);
        let later = u64::try_from(self.moments.len() - rank.min(self.moments.len())).unwrap_or(0);
        let at = self.end_ns.saturating_sub(later);
        Timespec {
            tv_sec: i64::try_from(at / NANOS).unwrap_or(0),
            tv_nsec: (at % NANOS).try_into().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_inside_is_kept_and_forged_times_are_not() {
        let moments = vec![
            Moment { seconds: 1, nanos: 0 },
            Moment {
                seconds: i64::MAX,
                nanos: 0,
            },
        ];
        let clock = Clock {
            moments: moments.clone(),
            end_ns: 5_000_000_000,
        };
        let (early, late) = (clock.time(moments[0]), clock.time(moments[1]));
        assert_eq!((early.tv_sec, early.tv_nsec), (4, 999_999_998));
        assert_eq!((late.tv_sec, late.tv_nsec), (4, 999_999_999));
    }
}
