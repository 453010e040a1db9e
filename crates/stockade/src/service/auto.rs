//! Which driver builds the sandbox: the one that is named, else the strongest that meets the policy.
//! The choice is made before anything is built, and never again: where the chosen one then fails,
//! that is told.

use std::sync::Arc;

use serde::Serialize;
use stockade_domain::{ControlKind, Refusal, Support};
use stockade_host::driver::Driver;

use super::probed::Contradicted;
use super::{DRIVERS, Result, driver};

pub use stockade_domain::policy::DEFAULT_DRIVER as AUTO;

/// Why this driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The driver.
    pub driver: &'static str,
    /// Why, in a clause.
    pub why: String,
    /// Stronger ones that cannot do what the policy requires.
    pub passed_over: Vec<PassedOver>,
}

/// A stronger driver that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The driver.
    pub driver: String,
    /// What it cannot enforce; empty where it cannot build anything at all.
    pub missing: Vec<ControlKind>,
    /// Why not, in a clause.
    pub why: String,
}

/// The drivers that are asked, the strongest first.
pub fn candidates(named: &str) -> Result<Vec<Arc<dyn Driver>>> {
    match named {
        AUTO => DRIVERS.into_iter().map(driver).collect(),
        name => Ok(vec![driver(name)?]),
    }
}

impl Choice {
    pub(super) fn new(driver: &'static str, named: bool, passed_over: Vec<PassedOver>) -> Self {
        let why = if named {
            "it was asked for".to_owned()
        } else if passed_over.is_empty() {
            "the strongest driver meets the policy".to_owned()
        } else {
            "the strongest driver that meets the policy here".to_owned()
        };
        Self {
            driver,
            why,
            passed_over,
        }
    }

    /// A line for whoever did not get the strongest driver.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        (!self.passed_over.is_empty()).then(|| self.to_string())
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "driver {}: {}", self.driver, self.why)?;
        for one in &self.passed_over {
            write!(out, "; not {}: {}", one.driver, one.why)?;
        }
        Ok(())
    }
}

impl PassedOver {
    /// One whose plan was refused.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let missing: Vec<ControlKind> = refusal.missing.iter().map(|one| one.control.kind()).collect();
        let first = refusal.missing.first();
        let alike = first.is_some_and(|first| refusal.missing.iter().all(|one| one.why == first.why));
        let why = match first {
            // One reason for all: it cannot start here.
            Some(first) if alike || missing.len() == 1 => first.why.clone(),
            _ => missing
                .iter()
                .map(|kind| kind.name())
                .collect::<Vec<_>>()
                .join(", "),
        };
        Self {
            driver: refusal.driver.clone(),
            missing,
            why,
        }
    }

    /// One whose last probe showed that it does not hold what the policy requires.
    pub(super) fn contradicted(found: &Contradicted) -> Self {
        Self {
            driver: found.driver.to_owned(),
            missing: found.missing.iter().map(|one| one.control.kind()).collect(),
            why: found.brief(),
        }
    }

    /// One that was tried out and does not work here.
    pub(super) fn unusable(driver: &str, found: &Support) -> Self {
        let why = match found {
            Support::Absent { why, .. } => why.clone(),
            Support::Enforced { how, .. } | Support::Watched { how, .. } => how.clone(),
        };
        Self {
            driver: driver.to_owned(),
            missing: Vec::new(),
            why,
        }
    }
}
