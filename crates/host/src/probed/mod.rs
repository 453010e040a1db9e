//! What the last probe of each driver showed on this host, and whether that still says anything.
//!
//! A probe's result is kept in two files of the state directory: a short one, which each start of a sandbox
//! reads, and the whole report. Both are sealed with a hash, so that one which was cut off or edited is noticed.
//! The hash has no key: whoever can write to the state directory can also start sandboxes without it.

mod circumstances;
pub mod outside;
mod store;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stockade_domain::ControlKind;

pub use circumstances::{Build, Circumstances};

use crate::error::Error;
use crate::state::Clocks;

/// What a driver claims and did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The probe's id.
    pub probe: String,
    /// What it tried, and got.
    pub title: String,
    /// The controls that should have kept it out, of which at least one does not; none where every driver has
    /// to.
    pub controls: Vec<ControlKind>,
}

/// The last finished probe of a driver, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Version of this form.
    version: u32,
    /// The driver.
    pub driver: String,
    /// When it was finished, in milliseconds since 1970.
    pub at_ms: u64,
    /// The same since the machine was started: nobody can set that clock.
    pub at_boot_ms: u64,
    /// On what.
    pub circumstances: Circumstances,
    /// Probes that showed that what is claimed holds.
    pub held: usize,
    /// Probes that showed nothing.
    pub inconclusive: usize,
    /// Probes that showed that it does not.
    pub contradictions: Vec<Contradiction>,
    /// SHA-256 of the whole report.
    report: String,
}

/// What is known of a driver from probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum LastProbe {
    /// It was never probed here by this user.
    Never,
    /// What is kept cannot be believed, which is the same; but it is told.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It was, and something that matters has changed since.
    Outdated {
        /// What it was.
        probed: Box<Probed>,
        /// What changed.
        changes: Vec<String>,
    },
    /// What it claims held.
    Held {
        /// The result.
        probed: Box<Probed>,
    },
    /// Something that it claims did not hold.
    Contradicted {
        /// The result.
        probed: Box<Probed>,
    },
}

impl Probed {
    /// Of a probe that was finished now.
    #[must_use]
    pub fn now(driver: &str, circumstances: Circumstances) -> Self {
        let clocks = Clocks::now();
        Self {
            version: store::VERSION,
            driver: driver.to_owned(),
            at_ms: clocks.unix_ms,
            at_boot_ms: clocks.boot_ms(),
            circumstances,
            held: 0,
            inconclusive: 0,
            contradictions: Vec::new(),
            report: String::new(),
        }
    }

    /// How long ago it was finished: by the clock that nobody can set, if the machine has run since.
    #[must_use]
    pub fn age(&self, now: &Circumstances) -> Duration {
        let clocks = Clocks::now();
        let passed = if self.circumstances.boot == now.boot {
            clocks.boot_ms().saturating_sub(self.at_boot_ms)
        } else {
            clocks.unix_ms.saturating_sub(self.at_ms)
        };
        Duration::from_millis(passed)
    }

    /// What it says of now.
    #[must_use]
    pub fn judged(self, now: &Circumstances) -> LastProbe {
        let changes = self.circumstances.changes(now);
        let probed = Box::new(self);
        if !changes.is_empty() {
            LastProbe::Outdated { probed, changes }
        } else if probed.contradictions.is_empty() {
            LastProbe::Held { probed }
        } else {
            LastProbe::Contradicted { probed }
        }
    }
}

impl LastProbe {
    /// Of what was found in the state directory.
    #[must_use]
    pub fn of(found: Result<Option<Probed>, Error>, now: &Circumstances) -> Self {
        match found {
            Ok(Some(probed)) => probed.judged(now),
            Ok(None) => Self::Never,
            Err(error) => Self::Unreadable {
                why: error.to_string(),
            },
        }
    }

    /// The result, where it still counts.
    #[must_use]
    pub fn valid(&self) -> Option<&Probed> {
        match self {
            Self::Held { probed } | Self::Contradicted { probed } => Some(probed),
            Self::Never | Self::Unreadable { .. } | Self::Outdated { .. } => None,
        }
    }

    /// What does not hold, as far as that is known.
    #[must_use]
    pub fn contradictions(&self) -> &[Contradiction] {
        self.valid().map_or(&[], |probed| &probed.contradictions)
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.probe, self.title)
    }
}

#[cfg(test)]
mod tests;
