//! A probe's report as SARIF 2.1.0, which code scanners and their dashboards read: a rule for each probe, a
//! result for each probe of each driver.
//!
//! | here | kind there |
//! |---|---|
//! | held | `pass` |
//! | not held | `fail`, with a level by severity |
//! | inconclusive | `open`: there was not enough to decide |
//! | not claimed, and crossed | `review`: a person has to say whether that will do |
//! | not claimed, and not crossed | `informational` |
//! | the driver was not probed | `notApplicable` |

use std::collections::BTreeMap;

use jiff::Timestamp;
use stockade_domain::ControlKind;
use stockade_probes::Severity;
use stockade_probes::report::{DriverReport, Outcome, Report, Row};

use super::{
    Component, Configuration, Found, Invocation, Location, Notification, Place, Rule, RuleProperties, Run,
    Sarif, Surroundings, Tool, text,
};
use crate::report::harmless;

/// A report in this form.
pub fn sarif(report: &Report) -> Sarif {
    let mut rows: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in report.drivers.iter().flat_map(|driver| &driver.probes) {
        rows.entry(&row.id).or_insert(row);
    }
    let rows: Vec<&Row> = rows.into_values().collect();
    let drivers = report.drivers.iter().enumerate();
    let results = drivers.flat_map(|(index, driver)| results(index, driver, &rows));
    Sarif::new(Run {
        results: results.collect(),
        tool: Tool {
            driver: Component {
                name: "Stockade",
                semantic_version: report.stockade.clone(),
                version: format!("{} (battery {})", report.stockade, report.battery),
                rules: rows.iter().map(|row| rule(row)).collect(),
            },
        },
        invocations: [invocation(report)],
        logical_locations: report.drivers.iter().map(place).collect(),
        column_kind: "unicodeCodePoints",
    })
}

fn place(driver: &DriverReport) -> Place {
    Place {
        name: driver.driver.clone(),
        fully_qualified_name: None,
        kind: Some("driver"),
        index: None,
    }
}

fn invocation(report: &Report) -> Invocation {
    let unusable = report.drivers.iter().filter_map(|driver| {
        let why = driver.unusable.as_ref()?;
        Some(Notification {
            level: "note",
            message: text(format!("{} was not probed: {why}", driver.driver)),
        })
    });
    let moment = i64::try_from(report.at_ms).ok();
    let moment = moment.and_then(|moment| Timestamp::from_millisecond(moment).ok());
    Invocation {
        execution_successful: true,
        start_time_utc: moment.map(|moment| moment.to_string()),
        tool_execution_notifications: unusable.collect(),
        properties: Some(Surroundings {
            kernel: report.host.kernel.clone(),
            security_modules: report.host.security_modules.clone(),
            root: report.host.root,
        }),
    }
}

fn rule(row: &Row) -> Rule {
    let kept_out = match row.needs.as_slice() {
        [] => "Every driver has to keep it out.".to_owned(),
        needs => format!("It is kept out where {} is enforced.", names(needs)),
    };
    let remedy = match row.needs.as_slice() {
        [] => String::new(),
        needs => format!(", or give the control up by name ({})", prefer(needs)),
    };
    Rule {
        id: row.id.clone(),
        short_description: text(row.title.clone()),
        full_description: text(format!(
            "An attack from inside a sandbox on something that was planted for it: {}. {kept_out}",
            row.title
        )),
        help: text(format!(
            "`stockade probe --id {} --verbose` tries it again. While it gets through, use another driver{remedy}; \
             where a driver claims what it does not hold, that is a fault of Stockade: please report it.",
            row.id
        )),
        default_configuration: Configuration {
            level: level(row.severity),
        },
        properties: RuleProperties {
            severity: match row.severity {
                Severity::Critical => "9.5",
                Severity::High => "8.0",
                Severity::Medium => "5.5",
                Severity::Low => "2.0",
            },
            tags: vec!["security".to_owned(), "sandbox".to_owned(), row.group.clone()],
        },
    }
}

fn names(kinds: &[ControlKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" and ")
}

fn prefer(kinds: &[ControlKind]) -> String {
    let flags: Vec<String> = kinds.iter().map(|kind| format!("--prefer {kind}")).collect();
    flags.join(" ")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// Those of one driver; one that was not probed has one for each rule as well.
fn results(index: usize, driver: &DriverReport, rules: &[&Row]) -> Vec<Found> {
    let found = |rule_index: usize, row: &Row| {
        let seen = driver.probes.iter().find(|seen| seen.id == row.id);
        let (kind, level, said) = match seen {
            Some(seen) => verdict(seen),
            None => ("notApplicable", "none", not_probed(driver)),
        };
        let fingerprint = format!("{}/{}", driver.driver, row.id);
        Found {
            rule_id: row.id.clone(),
            rule_index,
            kind,
            level,
            message: text(said),
            locations: [Location {
                physical_location: None,
                logical_locations: [Place {
                    name: driver.driver.clone(),
                    fully_qualified_name: None,
                    kind: None,
                    index: Some(index),
                }],
            }],
            suppressions: Vec::new(),
            partial_fingerprints: BTreeMap::from([("probe/v1", fingerprint)]),
        }
    };
    let rules = rules.iter().enumerate();
    rules.map(|(rule_index, row)| found(rule_index, row)).collect()
}

fn verdict(row: &Row) -> (&'static str, &'static str, String) {
    let detail = row.detail.as_deref().map(harmless).unwrap_or_default();
    let said = |what: &str| match detail.is_empty() {
        true => format!("{}: {what}", row.title),
        false => format!("{}: {what}: {detail}", row.title),
    };
    match row.outcome {
        Outcome::Held => ("pass", "none", said("it did not get through")),
        Outcome::NotHeld => (
            "fail",
            level(row.severity),
            said("it got through, though the driver claims to hold it"),
        ),
        Outcome::Inconclusive => ("open", "none", said("nothing was shown")),
        Outcome::NotExpected => (
            "review",
            "none",
            said("it got through, and the driver does not claim to hold it"),
        ),
        Outcome::Bonus => (
            "informational",
            "none",
            said("it did not get through, though the driver does not claim to hold it"),
        ),
    }
}

fn not_probed(driver: &DriverReport) -> String {
    match &driver.unusable {
        Some(why) => format!("{} builds no sandbox here: {}", driver.driver, harmless(why)),
        None => format!("{} was not attacked in this way", driver.driver),
    }
}
