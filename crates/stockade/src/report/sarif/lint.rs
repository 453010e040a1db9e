//! Misconfigurations as SARIF 2.1.0: a rule for each of the table, a result for each finding. What was not understood is a
//! notification of the run, which then was not successful.

use std::collections::BTreeMap;

use stockade_lint::Finding;
use stockade_lint::rules::{Rule as LintRule, Severity};

use super::{
    Artifact, Component, Configuration, Found, Invocation, Location, Notification, Physical, Place, Region,
    Rule, RuleProperties, Run, Sarif, Suppression, Tool, text,
};
use crate::report::harmless;
use crate::service::lint::{Report, Source, Verdict};

/// A report in this form.
pub fn lint_sarif(report: &Report, rules: &[LintRule]) -> Sarif {
    let mut results = Vec::new();
    for source in &report.sources {
        results.extend(source.findings.iter().map(|one| result(one, rules, Vec::new())));
        let ignored = || Suppression {
            kind: "external",
            justification: "left out with --ignore".to_owned(),
        };
        results.extend(
            source
                .ignored
                .iter()
                .map(|one| result(one, rules, vec![ignored()])),
        );
    }
    Sarif::new(Run {
        tool: Tool {
            driver: Component {
                name: "Stockade",
                semantic_version: env!("CARGO_PKG_VERSION").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                rules: rules.iter().map(rule).collect(),
            },
        },
        invocations: [Invocation {
            execution_successful: report.verdict != Verdict::NotChecked,
            start_time_utc: None,
            tool_execution_notifications: report
                .sources
                .iter()
                .flat_map(|source| notices(source, report.verdict))
                .collect(),
            properties: None,
        }],
        logical_locations: Vec::new(),
        results,
        column_kind: "unicodeCodePoints",
    })
}

fn notices(source: &Source, verdict: Verdict) -> Vec<Notification> {
    let unknown = if verdict == Verdict::NotChecked {
        "error"
    } else {
        "warning"
    };
    let notice = |level, said: &str| Notification {
        level,
        message: text(harmless(said)),
    };
    let not_read = source.error.iter().map(|error| notice("error", error));
    let not_checked = source.not_checked.iter();
    let not_checked =
        not_checked.map(|one| notice(unknown, &format!("{}: not checked: {}", one.at, one.what)));
    let notes = source.notes.iter().map(|note| notice("note", note));
    not_read.chain(not_checked).chain(notes).collect()
}

fn rule(rule: &LintRule) -> Rule {
    let tags = ["security", "misconfiguration"].map(str::to_owned);
    Rule {
        id: rule.id.clone(),
        short_description: text(rule.name()),
        full_description: text(rule.gain.clone()),
        help: text(format!("{} ({})", rule.fix, rule.source)),
        default_configuration: Configuration {
            level: level(rule.severity),
        },
        properties: RuleProperties {
            severity: match rule.severity {
                Severity::Critical => "9.5",
                Severity::High => "8.0",
                Severity::Medium => "5.5",
                Severity::Low => "2.0",
            },
            tags: tags.into_iter().chain(rule.probes.iter().cloned()).collect(),
        },
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn result(finding: &Finding, rules: &[LintRule], suppressions: Vec<Suppression>) -> Found {
    let said = format!(
        "{}: {}. {} Fix: {}",
        finding.workload, finding.what, finding.gain, finding.fix
    );
    let region = finding
        .at
        .line
        .zip(finding.at.column)
        .map(|(start_line, start_column)| Region {
            start_line,
            start_column,
        });
    // The lines of a file move; what it is about stays.
    let fingerprint = format!("{}/{}/{}", finding.rule, finding.workload, finding.at.path);
    Found {
        rule_id: finding.rule.clone(),
        // The findings are those of these rules.
        rule_index: rules
            .iter()
            .position(|rule| rule.id == finding.rule)
            .unwrap_or_default(),
        kind: "fail",
        level: level(finding.severity),
        message: text(harmless(&said)),
        locations: [Location {
            physical_location: Some(Physical {
                artifact_location: Artifact {
                    uri: uri(&finding.at.file),
                },
                region,
            }),
            logical_locations: [Place {
                name: finding.workload.clone(),
                fully_qualified_name: Some(format!("{}/{}", finding.workload, finding.at.path)),
                kind: None,
                index: None,
            }],
        }],
        suppressions,
        partial_fingerprints: BTreeMap::from([("lint/v1", fingerprint)]),
    }
}

/// A path as a reference, relative or absolute.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("a b/c:d.yml"), "a%20b/c%3Ad.yml");
        assert_eq!(uri("/x/ü"), "file:///x/%C3%BC");
    }
}
