//! How long a detached sandbox lives.

use std::time::Duration;

use super::alarm::{Alarm, now};
use crate::driver::Boundary;
use crate::error::Result;

/// Processor time below this share of one processor is no sign of life: a server that waits
/// looks at its clock now and then.
const IDLE_SHARE: u32 = 100;

/// How long a detached sandbox lives, and what is kept of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// It ends after this, whatever it does.
    pub ttl: Option<Duration>,
    /// It ends when for so long nobody was connected, its first command wrote nothing, and
    /// its processes used less than a hundredth of a processor.
    pub idle: Option<Duration>,
    /// Bytes of output that are kept, about.
    pub log_bytes: u64,
}

/// Alarms for a life.
#[derive(Default)]
pub(super) struct LifeWatch {
    ttl: Option<Alarm>,
    idle: Option<Idle>,
}

struct Idle {
    span: Duration,
    alarm: Alarm,
    /// When its processor time was last looked at, and what it was (microseconds).
    looked: Duration,
    cpu_us: Option<u64>,
}

/// Which alarm rang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rang {
    Ttl,
    Idle,
}

impl LifeWatch {
    /// Begins a life now. Needs a runtime.
    pub(super) async fn begin(life: &Life, boundary: &dyn Boundary) -> Result<Self> {
        let begin = now();
        let ttl = life.ttl.map(|ttl| Alarm::at(begin + ttl)).transpose()?;
        let idle = match life.idle {
            Some(span) => Some(Idle {
                span,
                alarm: Alarm::at(begin + span)?,
                looked: begin,
                cpu_us: cpu_us(boundary).await,
            }),
            None => None,
        };
        Ok(Self { ttl, idle })
    }

    /// Waits for the next alarm. Cancel safe.
    pub(super) async fn rings(&self) -> Rang {
        tokio::select! {
            () = rings(self.ttl.as_ref()) => Rang::Ttl,
            () = rings(self.idle.as_ref().map(|idle| &idle.alarm)) => Rang::Idle,
        }
    }

    /// True if it has been idle for its time; else the alarm is set anew. `last` is when
    /// somebody was connected or something was written.
    pub(super) async fn is_idle(&mut self, last: Duration, boundary: &dyn Boundary) -> Result<bool> {
        let Some(idle) = &mut self.idle else {
            return Ok(false);
        };
        let now = now();
        let due = last + idle.span;
        if now < due {
            idle.alarm.set(due)?;
            return Ok(false);
        }
        let cpu_us = cpu_us(boundary).await;
        let used = match (cpu_us, idle.cpu_us) {
            (Some(now), Some(before)) => Duration::from_micros(now.saturating_sub(before)),
            _ => Duration::ZERO,
        };
        let is_busy = used > now.saturating_sub(idle.looked) / IDLE_SHARE;
        (idle.looked, idle.cpu_us) = (now, cpu_us);
        if is_busy {
            idle.alarm.set(now + idle.span)?;
        }
        Ok(!is_busy)
    }
}

/// None where it is not counted.
async fn cpu_us(boundary: &dyn Boundary) -> Option<u64> {
    boundary.usage().await.ok()?.cpu_us
}

async fn rings(alarm: Option<&Alarm>) {
    match alarm {
        Some(alarm) => alarm.rings().await,
        None => std::future::pending().await,
    }
}
