//! One boundary check.

use serde::{Deserialize, Serialize};
use stockade_domain::ControlKind;

use crate::denial::Denial;
use crate::verdict::Verdict;
use crate::wall::Field;

/// How bad it is if the boundary does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It tells what it should not, or takes a little of what is shared.
    Low,
    /// It disturbs the host or other users.
    Medium,
    /// It reads, changes or reaches what belongs to the host.
    High,
    /// It takes the host, or what it keeps secret.
    Critical,
}

/// One row of the catalogue.
#[derive(Clone, Copy)]
pub struct Probe {
    /// Stable name: two letters of its group, a number, and words where one number has several.
    pub id: &'static str,
    /// What is tried, in one line.
    pub title: &'static str,
    /// How bad it is if it succeeds.
    pub severity: Severity,
    /// It is expected to be kept out where a driver claims all of these; with none, everywhere.
    pub needs: &'static [ControlKind],
    /// Its sandboxes start often: a driver that brings the system's directories may show few.
    pub small: bool,
    /// How it is tried.
    pub check: Check,
}

/// How a probe is tried.
#[derive(Clone, Copy)]
pub enum Check {
    /// By a canary, a control and an attack.
    Denial(Denial),
    /// By a function that plants, controls and attacks.
    Question(fn(&Field) -> Verdict),
}

impl Probe {
    /// An attack that must not reach its canary.
    #[must_use]
    pub const fn denial(id: &'static str, severity: Severity, title: &'static str, denial: Denial) -> Self {
        Self::new(id, severity, title, Check::Denial(denial))
    }

    /// A check that a function makes.
    #[must_use]
    pub const fn question(
        id: &'static str,
        severity: Severity,
        title: &'static str,
        ask: fn(&Field) -> Verdict,
    ) -> Self {
        Self::new(id, severity, title, Check::Question(ask))
    }

    const fn new(id: &'static str, severity: Severity, title: &'static str, check: Check) -> Self {
        Self {
            id,
            title,
            severity,
            needs: &[],
            small: false,
            check,
        }
    }

    /// These controls keep it out.
    #[must_use]
    pub const fn needs(mut self, controls: &'static [ControlKind]) -> Self {
        self.needs = controls;
        self
    }

    /// A shell and a few programs are enough inside.
    #[must_use]
    pub const fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// Tries it.
    ///
    /// # Errors
    /// [`crate::Stop::Failed`] if the boundary does not hold, [`crate::Stop::Skipped`] if that cannot
    /// be told here.
    pub fn run(&self, field: &Field) -> Verdict {
        match &self.check {
            Check::Denial(denial) => denial.run(self.id, field),
            Check::Question(ask) => ask(field),
        }
    }
}
