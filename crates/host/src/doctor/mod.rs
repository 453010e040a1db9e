//! What this host can do: facts are gathered once ([`gather`]), as data that can be written
//! down; what follows from them ([`checks`]) is a pure function, so that hosts which nobody has
//! at hand are tested from their descriptions.

mod checks;
mod drivers;
mod engines;
mod gather;
mod observed;
mod sources;

use serde::Serialize;

pub use checks::checks;
pub use drivers::{DriverReport, Shortfall, driver_report};
pub use engines::{ENGINES, Engine, EngineFound};
pub use gather::gather;
pub use observed::{CgroupLayout, Cgroups, DefaultRun, Observed, Seen, System};
pub use sources::{TRIAL, TRIALS, memory_encryption, trial};

/// One question about the host, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable name, for programs.
    pub id: String,
    /// What was looked at, for people.
    pub what: String,
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The drivers and controls that it matters to; none where nothing depends on it.
    pub matters_to: Vec<&'static str>,
}

/// The answer to a question about the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Verdict {
    /// It is there.
    Ok {
        /// What was found.
        found: String,
    },
    /// It is not.
    Missing {
        /// Why not.
        why: String,
        /// Exactly what to do; none where nothing can be done on this machine.
        fix: Option<String>,
    },
    /// It could not be found out, which is never the same as being there.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Verdict {
    /// True if it was seen to be there.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    fn ok(found: impl Into<String>) -> Self {
        Self::Ok { found: found.into() }
    }

    fn missing(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Missing {
            why: why.into(),
            fix: Some(fix.into()),
        }
    }

    fn impossible(why: impl Into<String>) -> Self {
        Self::Missing {
            why: why.into(),
            fix: None,
        }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }
}

impl Check {
    fn new(
        id: impl Into<String>,
        what: impl Into<String>,
        verdict: Verdict,
        matters_to: &[&'static str],
    ) -> Self {
        Self {
            id: id.into(),
            what: what.into(),
            verdict,
            matters_to: matters_to.to_vec(),
        }
    }
}
