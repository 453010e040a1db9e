//! What all running sandboxes use, look by look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use stockade_domain::Usage;
use stockade_host::meter::{Meter, Traffic};
use stockade_host::state::{Clocks, Phase, StateDirs};

use super::budget::Shared;
use super::sandboxes::{Sandbox, State};
use super::{Result, state};

/// Names in change sets that are looked at in one look, over all sandboxes.
const NAMES: u32 = 10_000;
/// And at least for each.
const MIN_NAMES: u32 = 32;

/// A running sandbox.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name, or its id.
    pub name: String,
    /// Running or paused.
    pub state: State,
    /// Processor time since the last look, in thousandths of one processor.
    pub cpu_permille: Option<u64>,
    /// What it uses.
    #[serde(flatten)]
    pub usage: Usage,
    /// The disk figure is complete, not a lower bound.
    pub disk_is_whole: bool,
    /// Bytes over its network devices but the loopback.
    pub traffic: Option<Traffic>,
    /// Since it was made.
    pub age_seconds: u64,
}

struct Watched {
    meter: Meter,
    last: Option<(Instant, u64)>,
}

/// Looks at all running sandboxes, again and again.
pub struct Monitor {
    dirs: Arc<StateDirs>,
    watched: BTreeMap<String, Watched>,
    /// Ended for good: not even looked at.
    ended: BTreeSet<String>,
}

impl Monitor {
    /// Begins to look.
    ///
    /// # Errors
    /// The state directory cannot be used.
    pub fn new() -> Result<Self> {
        Ok(Self {
            dirs: state()?,
            watched: BTreeMap::new(),
            ended: BTreeSet::new(),
        })
    }

    /// Looks once.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub fn look(&mut self) -> Result<Vec<Row>> {
        let ids = self.dirs.sandbox_ids()?;
        let now = Clocks::now();
        let count = u32::try_from(self.watched.len()).unwrap_or(u32::MAX).max(1);
        let names = (NAMES / count).max(MIN_NAMES);
        let mut rows = Vec::new();
        for id in &ids {
            if self.ended.contains(id) {
                continue;
            }
            // What cannot be read, or is just being made, is looked at again.
            let Ok(Some(listed)) = self.dirs.sandbox(id) else {
                continue;
            };
            if listed.status.phase == Phase::Ended {
                self.ended.insert(id.clone());
                self.watched.remove(id);
                continue;
            }
            let status = listed.status.clone();
            let sandbox = Sandbox::new(listed, now);
            if !matches!(sandbox.state, State::Running | State::Paused) {
                continue;
            }
            let watched = self.watched.entry(id.clone()).or_insert_with(|| Watched {
                meter: Meter::new(&self.dirs, &status),
                last: None,
            });
            rows.push(watched.row(sandbox, names));
        }
        let ids: BTreeSet<String> = ids.into_iter().collect();
        self.watched.retain(|id, _| ids.contains(id));
        self.ended.retain(|id| ids.contains(id));
        Ok(rows)
    }
}

impl Monitor {
    /// What the sandboxes that were seen last share, and its use.
    #[must_use]
    pub fn budget(&self) -> Option<Shared> {
        let mut all = self.watched.values();
        all.find_map(|watched| watched.meter.budget()).map(Shared::from)
    }
}

impl Watched {
    fn row(&mut self, sandbox: Sandbox, names: u32) -> Row {
        let reading = self.meter.read(names);
        let now = Instant::now();
        let before = self.last;
        self.last = reading.usage.cpu_us.map(|cpu_us| (now, cpu_us));
        let cpu_permille = before.zip(self.last).and_then(|((then, was), (now, is))| {
            let passed = u64::try_from(now.duration_since(then).as_micros()).ok()?;
            is.saturating_sub(was).saturating_mul(1000).checked_div(passed)
        });
        Row {
            id: sandbox.id,
            name: sandbox.name,
            state: sandbox.state,
            cpu_permille,
            usage: reading.usage,
            disk_is_whole: reading.disk_is_whole,
            traffic: reading.traffic,
            age_seconds: sandbox.age_seconds,
        }
    }
}
