//! Evidence that each planned control came true.
//!
//! This module takes controls and evidence only; it must not import plan code, so that a
//! mistake in planning cannot repeat itself in checking.

use serde::{Deserialize, Serialize};

use crate::control::Control;

/// How a piece of evidence was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// Read by the host: /proc of every thread, cgroup files, mountinfo.
    HostRead,
    /// Stated by an engine's or provider's API.
    EngineStated,
    /// Attested by our guest before the first untrusted instruction.
    GuestAttested,
    /// A mechanism of the supervisor itself that is in place (a timer, a byte counter).
    SupervisorHeld,
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How it was obtained.
    pub kind: EvidenceKind,
    /// What was seen, in a clause.
    pub seen: String,
}

/// What the evidence says of one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It stands.
    Verified(Vec<Evidence>),
    /// It does not stand as demanded.
    Differs {
        /// What had to be seen.
        expected: String,
        /// What was seen instead.
        found: String,
    },
    /// The check could not be made: as bad as a difference.
    Unchecked {
        /// Why.
        why: String,
    },
}

/// The findings for all controls that had to be enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    entries: Vec<Entry>,
}

/// One control and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The control that had to be enforced.
    pub control: Control,
    /// What was found.
    pub finding: Finding,
}

/// At least one control does not stand: the sandbox must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{}", self.text())]
pub struct Discrepancy {
    /// The entries that are not verified.
    pub entries: Vec<Entry>,
}

impl Receipt {
    /// Asks `find` for the finding of every control; an empty list of evidence is no
    /// verification.
    pub fn gather<'a>(
        controls: impl Iterator<Item = &'a Control>,
        mut find: impl FnMut(&Control) -> Finding,
    ) -> Self {
        let entries = controls
            .map(|control| Entry {
                control: control.clone(),
                finding: find(control).or_unchecked(),
            })
            .collect();
        Self { entries }
    }

    /// Every control with its finding.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many controls are verified.
    #[must_use]
    pub fn verified(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.finding.is_verified())
            .count()
    }

    /// How many controls had to be.
    #[must_use]
    pub fn total(&self) -> usize {
        self.entries.len()
    }

    /// Passes only if every control is verified.
    ///
    /// # Errors
    /// All entries that are not.
    pub fn check(&self) -> Result<(), Discrepancy> {
        let entries: Vec<Entry> = self
            .entries
            .iter()
            .filter(|entry| !entry.finding.is_verified())
            .cloned()
            .collect();
        if entries.is_empty() {
            Ok(())
        } else {
            Err(Discrepancy { entries })
        }
    }
}

impl Finding {
    /// Verified by one observation.
    #[must_use]
    pub fn seen(kind: EvidenceKind, seen: impl Into<String>) -> Self {
        Self::Verified(vec![Evidence {
            kind,
            seen: seen.into(),
        }])
    }

    /// True if the control stands.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self, Self::Verified(evidence) if !evidence.is_empty())
    }

    fn or_unchecked(self) -> Self {
        match self {
            Self::Verified(evidence) if evidence.is_empty() => Self::Unchecked {
                why: "no evidence was gathered".to_owned(),
            },
            other => other,
        }
    }
}

impl Discrepancy {
    fn text(&self) -> String {
        let mut text = String::from("the sandbox is not what was planned, so it was destroyed");
        for entry in &self.entries {
            match &entry.finding {
                Finding::Verified(_) => {}
                Finding::Differs { expected, found } => {
                    text.push_str(&format!(
                        "\n  {}: expected {expected}; found {found}",
                        entry.control
                    ));
                }
                Finding::Unchecked { why } => {
                    text.push_str(&format!("\n  {}: could not be checked: {why}", entry.control));
                }
            }
        }
        text
    }
}
