//! An alarm on a clock that nobody can set and that goes on while the machine sleeps: a jump
//! of the time of day neither ends a sandbox nor keeps it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::{Error, Result};
pub(super) use crate::state::boot_time as now;
use crate::sys::watch;

/// Rings once at its time.
pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// One that rings at a time of [`now`]. Needs a runtime.
    pub(super) fn at(time: Duration) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("set an alarm", error);
        let timer = timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )
        .map_err(|error| failed(error.into()))?;
        let alarm = Self(watch(timer, Interest::READABLE).map_err(failed)?);
        alarm.set(time)?;
        Ok(alarm)
    }

    /// Rings at another time.
    pub(super) fn set(&self, time: Duration) -> Result<()> {
        // Zero would turn it off.
        let time = time.max(Duration::from_nanos(1));
        let failed = |error: std::io::Error| Error::io("set an alarm", error);
        let it_value = Timespec::try_from(time).map_err(|error| failed(std::io::Error::other(error)))?;
        let never_again = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let when = Itimerspec {
            it_interval: never_again,
            it_value,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &when)
            .map(drop)
            .map_err(|error| failed(error.into()))
    }

    /// Waits until it rings. Cancel safe.
    pub(super) async fn rings(&self) {
        loop {
            // A timer that cannot be watched would otherwise end every sandbox.
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            let mut count = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut count) {
                Ok(_) => return,
                Err(_) => ready.clear_ready(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_at_its_time_and_at_another_one() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async {
            let begin = now();
            let alarm = Alarm::at(begin + Duration::from_secs(3600)).unwrap();
            alarm.set(begin + Duration::from_millis(20)).unwrap();
            alarm.rings().await;
            assert!(now() >= begin + Duration::from_millis(20));
            alarm.set(Duration::ZERO).unwrap();
            alarm.rings().await;
        });
    }
}
