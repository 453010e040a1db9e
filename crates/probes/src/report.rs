//! What the battery found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stockade_domain::{ControlKind, Support};

use crate::probe::Severity;

/// What a probe showed of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The boundary is claimed, and the attack did not cross it.
    Held,
    /// The boundary is claimed, and the attack crossed it.
    NotHeld,
    /// Nothing was shown, for a reason that is told.
    Inconclusive,
    /// The boundary is not claimed, and the attack crossed it.
    NotExpected,
    /// The boundary is not claimed, and the attack did not cross it.
    Bonus,
}

/// One probe of one driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its id in the catalogue.
    pub id: String,
    /// The group that it belongs to.
    pub group: String,
    /// What was tried.
    pub title: String,
    /// How bad it is if it succeeds.
    pub severity: Severity,
    /// The controls that keep it out.
    pub needs: Vec<ControlKind>,
    /// What it showed.
    pub outcome: Outcome,
    /// Why it is inconclusive, or how the boundary was crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

/// A control of one driver: what is said of it, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRow {
    /// The control.
    pub control: ControlKind,
    /// What the driver says of it.
    pub claim: Support,
    /// Probes by what they showed.
    pub probes: BTreeMap<Outcome, u32>,
}

/// One driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverReport {
    /// Its name.
    pub driver: String,
    /// Why nothing could be tried: it builds no sandbox here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// Every control that a policy may demand of it.
    pub controls: Vec<ControlRow>,
    /// Every probe.
    pub probes: Vec<Row>,
    /// How long it took.
    pub took_ms: u64,
    /// How long ago it was made, in milliseconds, where it was not made now but kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_for_ms: Option<u64>,
}

/// Where a report was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The kernel's name, release and version.
    pub kernel: String,
    /// Its security modules, comma separated.
    pub security_modules: String,
    /// Whether root made it.
    pub root: bool,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// The program that was probed.
    pub stockade: String,
    /// The battery: see [`crate::FINGERPRINT`].
    pub battery: String,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// On what.
    pub host: Host,
    /// By driver.
    pub drivers: Vec<DriverReport>,
}

impl Outcome {
    /// All, in the order in which reports count them.
    pub const ALL: [Self; 5] = [
        Self::Held,
        Self::NotHeld,
        Self::Inconclusive,
        Self::NotExpected,
        Self::Bonus,
    ];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "NOT HELD",
            Self::Inconclusive => "inconclusive",
            Self::NotExpected => "not expected here",
            Self::Bonus => "held, though not claimed",
        }
    }
}

impl ControlRow {
    /// Whether what was seen contradicts what is said.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.count(Outcome::NotHeld) > 0
    }

    /// How many probes showed this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u32 {
        self.probes.get(&outcome).copied().unwrap_or(0)
    }
}

impl DriverReport {
    /// How many probes showed this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.probes.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Adds what was seen in another way than by attacks.
    pub fn add(&mut self, rows: Vec<Row>) {
        for row in &rows {
            for control in self
                .controls
                .iter_mut()
                .filter(|one| row.needs.contains(&one.control))
            {
                *control.probes.entry(row.outcome).or_insert(0) += 1;
            }
        }
        self.probes.extend(rows);
    }

    /// The controls that are claimed and were crossed.
    #[must_use]
    pub fn differences(&self) -> Vec<ControlKind> {
        let rows = self.controls.iter().filter(|row| row.differs());
        rows.map(|row| row.control).collect()
    }
}

impl Report {
    /// The version of the form that this program writes.
    pub const VERSION: u32 = 1;

    /// Whether a boundary that is claimed was crossed somewhere.
    #[must_use]
    pub fn differs(&self) -> bool {
        let crossed = |driver: &DriverReport| driver.count(Outcome::NotHeld) > 0;
        self.drivers.iter().any(crossed)
    }
}
