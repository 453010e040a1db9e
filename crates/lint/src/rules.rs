//! The rules: tables for a security person to read and change, and what compares it with settings.

use serde::{Deserialize, Serialize};

use crate::model::{Key, Kind, Setting, Workload};

/// The tables that come with the program, in the order in which they are told.
const TABLES: [&str; 5] = [
    include_str!("rules/host.toml"),
    include_str!("rules/paths.toml"),
    include_str!("rules/rights.toml"),
    include_str!("rules/content.toml"),
    include_str!("rules/policy.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Vec<Rule>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It weakens what else holds.
    Low,
    /// It takes one wall away of several.
    Medium,
    /// One more mistake, and the host is reached.
    High,
    /// Whoever controls the workload controls the host.
    Critical,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable, for reports and `--ignore`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The kinds of workload that it is about; all but policies where none is named.
    #[serde(default, skip_serializing)]
    pub on: Vec<Kind>,
    /// All of these have to hold. What the first meets is where the finding stands.
    #[serde(skip_serializing)]
    pub when: Vec<Condition>,
    /// What is the case; `{}` stands for the value.
    pub title: String,
    /// What an attacker gains by it, in one sentence.
    pub gain: String,
    /// What to do, in the words of compose files, or of what the rule is about.
    pub fix: String,
    /// The same for Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_pod: Option<String>,
    /// The same for a container that is there already: it has to be made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_container: Option<String>,
    /// Probes whose attack shows it.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Where the rule comes from.
    pub source: String,
}

/// Holds if a setting of one of the keys meets one of the comparisons; any, if there are none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    key: Vec<Key>,
    /// Turned round: no setting of the keys meets a comparison.
    not: bool,
    is: Vec<String>,
    begins: Vec<String>,
    ends: Vec<String>,
    has: Vec<String>,
    /// A path, or what lies below it; a part that is `*` stands for any one part.
    below: Vec<String>,
    /// A path, but nothing below it.
    path: Vec<String>,
    /// None of these; only beside the others.
    except: Vec<String>,
    except_begins: Vec<String>,
}

/// Every rule, in the order of the tables.
///
/// # Errors
/// A table has a mistake; a test reads them.
pub fn all() -> Result<Vec<Rule>, toml::de::Error> {
    let mut all = Vec::new();
    for table in TABLES {
        all.extend(toml::from_str::<Table>(table)?.rule);
    }
    Ok(all)
}

impl Rule {
    /// The title without a value.
    #[must_use]
    pub fn name(&self) -> String {
        self.title.replace(": {}", "").replace("{}", "…")
    }

    /// Whether it can say anything of such a workload.
    #[must_use]
    pub fn is_about(&self, kind: Kind) -> bool {
        match self.on.as_slice() {
            [] => kind != Kind::Policy,
            some => some.contains(&kind),
        }
    }

    /// The settings that break it; one that is `None` is the workload itself, which lacks something.
    #[must_use]
    pub fn broken_by<'a>(&self, workload: &'a Workload) -> Vec<Option<&'a Setting>> {
        let Some((first, others)) = self.when.split_first() else {
            return Vec::new();
        };
        if !self.is_about(workload.kind) || !others.iter().all(|one| one.holds(workload)) {
            return Vec::new();
        }
        if first.not {
            return if first.holds(workload) {
                vec![None]
            } else {
                Vec::new()
            };
        }
        first.met_by(workload).map(Some).collect()
    }

    /// What to do, in the words of what it is about.
    #[must_use]
    pub fn fix_for(&self, kind: Kind) -> &str {
        let other = match kind {
            Kind::Pod | Kind::PodContainer => self.fix_pod.as_ref(),
            Kind::Container => self.fix_container.as_ref(),
            Kind::Service | Kind::Other | Kind::Policy => None,
        };
        other.unwrap_or(&self.fix)
    }
}

impl Condition {
    fn holds(&self, workload: &Workload) -> bool {
        self.met_by(workload).next().is_some() != self.not
    }

    fn met_by<'a>(&self, workload: &'a Workload) -> impl Iterator<Item = &'a Setting> {
        let of_key = workload.settings.iter().filter(|one| self.key.contains(&one.key));
        of_key.filter(|one| self.meets(one))
    }

    /// What is not known meets no comparison but those of names: it was told, and nothing follows from it. But it is
    /// there, so nothing is lacking.
    fn meets(&self, setting: &Setting) -> bool {
        let value = setting.value.as_str();
        let is_excepted = self.except.iter().any(|one| one == value)
            || self
                .except_begins
                .iter()
                .any(|one| value.starts_with(one.as_str()));
        if is_excepted {
            return false;
        }
        let is_any = [
            &self.is,
            &self.begins,
            &self.ends,
            &self.has,
            &self.below,
            &self.path,
        ]
        .iter()
        .all(|list| list.is_empty());
        is_any
            || (self.not && !setting.is_known)
            || self.is.iter().any(|one| one == value)
            || self.begins.iter().any(|one| value.starts_with(one.as_str()))
            || self.ends.iter().any(|one| value.ends_with(one.as_str()))
            || self.has.iter().any(|one| value.contains(one.as_str()))
            || self.below.iter().any(|one| matches_path(one, value, true))
            || self.path.iter().any(|one| matches_path(one, value, false))
    }
}

/// Whether a path is a pattern, or lies below it.
fn matches_path(pattern: &str, path: &str, below: bool) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    if pattern.starts_with('/') != path.starts_with('/') {
        return false;
    }
    let all = pattern.split('/').filter(|part| !part.is_empty());
    for wanted in all {
        match parts.next() {
            Some(part) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
    below || parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_are_compared_part_by_part() {
        assert!(matches_path("/home/*/.ssh", "/home/a/.ssh/id", true));
        assert!(!matches_path("/home/*/.ssh", "/home/a/.sshx", true));
        assert!(!matches_path("/etc", "/etcetera", true));
        assert!(!matches_path("/etc", "etc", true));
        assert!(matches_path("/", "/x", true) && !matches_path("/", "/x", false));
    }

    #[test]
    fn the_tables_are_whole() {
        let rules = all().unwrap();
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids.len(), rules.len(), "no id twice");
        for rule in &rules {
            let id = &rule.id;
            assert!(
                id.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{id}"
            );
            assert!(
                !rule.when.is_empty() && rule.when.iter().all(|one| !one.key.is_empty()),
                "{id}"
            );
            assert!(rule.gain.ends_with('.') && !rule.source.is_empty(), "{id}");
            // What is lacking is lacking only where it could be.
            assert!(
                !rule.when[0].not || !rule.on.is_empty(),
                "{id}: say on which kinds"
            );
        }
    }
}
