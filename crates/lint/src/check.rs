//! Holding workloads against the rules.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{Document, Setting, Workload};
use crate::node::Where;
use crate::rules::{Rule, Severity};

/// A rule that a workload breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// The workload.
    pub workload: String,
    /// Where it stands; for what is lacking, where the workload begins.
    #[serde(flatten)]
    pub at: Where,
    /// What is the case.
    pub what: String,
    /// What an attacker gains by it.
    pub gain: String,
    /// What to do.
    pub fix: String,
    /// Probes whose attack shows it.
    pub probes: Vec<String>,
}

/// What the rules say of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The worst first, then by place.
    pub findings: Vec<Finding>,
    /// Those that were to be ignored.
    pub ignored: Vec<Finding>,
}

/// Holds all workloads of a file against all rules.
#[must_use]
pub fn check(document: &Document, rules: &[Rule], ignore: &BTreeSet<String>) -> Checked {
    let mut all: Vec<Finding> = Vec::new();
    for workload in &document.workloads {
        for rule in rules {
            for setting in rule.broken_by(workload) {
                all.push(finding(rule, workload, setting));
            }
        }
    }
    all.sort_by_cached_key(|one| {
        let severity = std::cmp::Reverse(one.severity);
        (severity, one.at.clone(), one.rule.clone(), one.workload.clone())
    });
    // Two settings that say the same at one place are one finding.
    all.dedup();
    let (ignored, findings) = all.into_iter().partition(|one| ignore.contains(&one.rule));
    Checked { findings, ignored }
}

fn finding(rule: &Rule, workload: &Workload, setting: Option<&Setting>) -> Finding {
    let value = setting.map(|setting| crate::gather::shown(&setting.shown));
    Finding {
        rule: rule.id.clone(),
        severity: rule.severity,
        workload: workload.name.clone(),
        at: setting.map_or(&workload.at, |setting| &setting.at).clone(),
        what: rule.title.replace("{}", value.as_deref().unwrap_or_default()),
        gain: rule.gain.clone(),
        fix: rule.fix_for(workload.kind).to_owned(),
        probes: rule.probes.clone(),
    }
}
