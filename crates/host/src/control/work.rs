//! Whether others do something in a sandbox: one in which nobody does may be idle.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::state::boot_time;

/// What others do.
#[derive(Default)]
pub(crate) struct Work(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: usize,
    /// When something ended last.
    last_end: Duration,
}

/// Something that is done, until this is dropped.
pub(crate) struct AtWork(Arc<Work>);

impl Work {
    /// Something begins.
    pub(crate) fn begin(work: &Arc<Self>) -> AtWork {
        work.change(|state| state.under_way += 1);
        AtWork(Arc::clone(work))
    }

    /// When something was done last, by [`boot_time`]: now, if something is.
    pub(crate) fn last(&self) -> Duration {
        let mut last = Duration::ZERO;
        self.change(|state| {
            last = if state.under_way > 0 {
                boot_time()
            } else {
                state.last_end
            }
        });
        last
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.under_way = state.under_way.saturating_sub(1);
            state.last_end = boot_time();
        });
    }
}
