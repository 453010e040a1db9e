//! What the battery found, for a person: who holds, what does not, in a screen.

use std::fmt::Write;
use std::time::Duration;

use stockade_domain::{ControlKind, Support};
use stockade_probes::report::{ControlRow, DriverReport, Outcome, Report, Row};
use stockade_probes::{Probe, Severity};

use super::{Paint, table};
use crate::service::probed::short_age;

/// A probe as it is listed.
type Listed = (&'static str, &'static Probe);

/// What is looked at from outside, as it is listed.
type Look = (&'static str, &'static str, ControlKind);

/// The catalogue.
pub fn probes_text(probes: &[Listed], looks: &[Look], paint: Paint) -> String {
    let rows = probes.iter().map(|(group, probe)| {
        vec![
            probe.id.to_owned(),
            (*group).to_owned(),
            severity(probe.severity).to_owned(),
            probe.title.to_owned(),
        ]
    });
    let looks = looks.iter().map(|(id, title, _)| {
        vec![
            (*id).to_owned(),
            "outside-view".to_owned(),
            "high".to_owned(),
            format!("seen from the host: {title}"),
        ]
    });
    table(
        paint,
        &["ID", "GROUP", "SEVERITY", "WHAT IS TRIED"],
        rows.chain(looks),
    )
}

/// A report: a line for each driver, what is different from what is claimed, and what could not be shown.
pub fn probe_text(report: &Report, verbose: bool, paint: Paint) -> String {
    let mut text = String::new();
    let user = if report.host.root {
        "root"
    } else {
        "an ordinary user"
    };
    let _ = writeln!(text, "{}, as {user}\n", report.host.kernel);
    text.push_str(&summary(report, paint));
    for driver in report.drivers.iter().filter(|driver| driver.unusable.is_none()) {
        let _ = writeln!(text, "\n{}", paint.bold(&driver.driver));
        text.push_str(&controls(driver, verbose, paint));
        text.push_str(&probes(driver, verbose, paint));
    }
    text
}

/// A line for each driver that builds sandboxes here, then one for each that does not.
fn summary(report: &Report, paint: Paint) -> String {
    let usable = report.drivers.iter().filter(|driver| driver.unusable.is_none());
    let rows = usable.map(|driver| {
        let verdict = match driver.count(Outcome::NotHeld) {
            0 => paint.green("what it claims holds"),
            count => paint.red(&format!("{count} NOT HELD")),
        };
        vec![
            driver.driver.clone(),
            verdict,
            driver.count(Outcome::Held).to_string(),
            driver.count(Outcome::Inconclusive).to_string(),
            format!(
                "{} open, {} closed",
                driver.count(Outcome::NotExpected),
                driver.count(Outcome::Bonus)
            ),
            seconds(driver.took_ms),
        ]
    });
    let heading = ["DRIVER", "", "HELD", "INCONCLUSIVE", "NOT CLAIMED", "TIME"];
    let mut text = table(paint, &heading, rows);
    for driver in &report.drivers {
        if let Some(why) = &driver.unusable {
            let first = why.lines().next().unwrap_or_default();
            let _ = writeln!(text, "{}: not probed: {first}", driver.driver);
        }
    }
    for driver in &report.drivers {
        if let Some(kept) = driver.kept_for_ms {
            let age = short_age(Duration::from_millis(kept));
            let _ = writeln!(text, "{}: from {age} ago; --reprobe to try anew", driver.driver);
        }
    }
    text
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Claimed and measured, where they differ; everything if asked for. Then what nothing was shown of.
fn controls(driver: &DriverReport, verbose: bool, paint: Paint) -> String {
    let shown = |row: &&ControlRow| row.differs() || (verbose && !row.probes.is_empty());
    let rows: Vec<_> = driver
        .controls
        .iter()
        .filter(shown)
        .map(|row| vec![row.control.name().to_owned(), claim(row), measured(row, paint)])
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&indent(&table(paint, &["CONTROL", "CLAIMED", "MEASURED"], rows)));
    }
    let names = |which: fn(&ControlRow) -> bool| {
        let rows = driver.controls.iter().filter(|row| which(row));
        rows.map(|row| row.control.name()).collect::<Vec<_>>().join(", ")
    };
    for (what, names) in [
        (
            "claimed, and no probe shows it",
            names(|row| is_claimed(row) && row.probes.is_empty()),
        ),
        ("not claimed", names(|row| !is_claimed(row))),
    ] {
        if !names.is_empty() {
            let _ = writeln!(text, "  {what}: {names}");
        }
    }
    text
}

fn is_claimed(row: &ControlRow) -> bool {
    !matches!(row.claim, Support::Absent { .. })
}

fn claim(row: &ControlRow) -> String {
    match &row.claim {
        Support::Enforced { .. } => "enforced".to_owned(),
        Support::Watched { .. } => "watched".to_owned(),
        Support::Absent { .. } => "no".to_owned(),
    }
}

fn measured(row: &ControlRow, paint: Paint) -> String {
    let parts: Vec<String> = Outcome::ALL
        .into_iter()
        .filter(|outcome| row.count(*outcome) > 0)
        .map(|outcome| {
            let text = format!("{} {}", row.count(outcome), outcome.name());
            if outcome == Outcome::NotHeld {
                paint.red(&text)
            } else {
                text
            }
        })
        .collect();
    parts.join(", ")
}

fn probes(driver: &DriverReport, verbose: bool, paint: Paint) -> String {
    let mut text = String::new();
    for row in &driver.probes {
        let told = match row.outcome {
            Outcome::NotHeld => paint.red(row.outcome.name()),
            Outcome::Inconclusive => paint.yellow(row.outcome.name()),
            _ if verbose => row.outcome.name().to_owned(),
            _ => continue,
        };
        let _ = writeln!(
            text,
            "  {}  {told}  {} ({})",
            row.id,
            row.title,
            severity(row.severity)
        );
        if let Some(detail) = shown_detail(row, verbose) {
            let _ = writeln!(text, "      {detail}");
        }
    }
    text
}

/// One line; all of it is in the JSON. What output an attack wrote can hold anything.
fn shown_detail(row: &Row, verbose: bool) -> Option<String> {
    let detail = row.detail.as_ref()?;
    if row.outcome == Outcome::NotExpected && !verbose {
        return None;
    }
    let first: String = detail.lines().next()?.chars().take(200).collect();
    Some(super::harmless(&first))
}

/// In a word.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stockade_probes::report::Host;

    use super::*;

    fn row(id: &str, needs: ControlKind, outcome: Outcome, detail: Option<&str>) -> Row {
        Row {
            id: id.to_owned(),
            group: "files".to_owned(),
            title: format!("what {id} tries"),
            severity: Severity::High,
            needs: vec![needs],
            outcome,
            detail: detail.map(str::to_owned),
            took_ms: 7,
        }
    }

    fn control(control: ControlKind, claimed: bool, seen: &[(Outcome, u32)]) -> ControlRow {
        let claim = if claimed {
            Support::host_kernel("a mount namespace")
        } else {
            Support::absent("it has none", "none")
        };
        ControlRow {
            control,
            claim,
            probes: BTreeMap::from_iter(seen.iter().copied()),
        }
    }

    fn report() -> Report {
        let whole = DriverReport {
            driver: "native".to_owned(),
            unusable: None,
            controls: vec![
                control(
                    ControlKind::FilesUnreadable,
                    true,
                    &[(Outcome::Held, 1), (Outcome::NotHeld, 1)],
                ),
                control(ControlKind::HomeHidden, true, &[(Outcome::Inconclusive, 1)]),
                control(ControlKind::TerminalPrivate, true, &[]),
                control(ControlKind::ProcessesHidden, false, &[(Outcome::NotExpected, 1)]),
            ],
            probes: vec![
                row("FS03", ControlKind::FilesUnreadable, Outcome::Held, None),
                row(
                    "FS04",
                    ControlKind::FilesUnreadable,
                    Outcome::NotHeld,
                    Some("its value was \u{1b}[31mread\nand more"),
                ),
                row(
                    "FS17",
                    ControlKind::HomeHidden,
                    Outcome::Inconclusive,
                    Some("it needs root"),
                ),
                row(
                    "PR01",
                    ControlKind::ProcessesHidden,
                    Outcome::NotExpected,
                    Some("REACHED 7"),
                ),
            ],
            took_ms: 3_456,
            kept_for_ms: Some(5 * 60 * 1000 + 1),
        };
        let none = DriverReport {
            driver: "chroot".to_owned(),
            unusable: Some("only root can change the root directory".to_owned()),
            controls: Vec::new(),
            probes: Vec::new(),
            took_ms: 1,
            kept_for_ms: None,
        };
        Report {
            version: Report::VERSION,
            stockade: "0.1.0".to_owned(),
            battery: "0".to_owned(),
            at_ms: 0,
            host: Host {
                kernel: "Linux 6.12.0 #1".to_owned(),
                security_modules: "landlock".to_owned(),
                root: false,
            },
            drivers: vec![whole, none],
        }
    }

    #[test]
    fn what_did_not_hold_and_what_was_not_shown_is_told_and_nothing_raw() {
        insta::assert_snapshot!(probe_text(&report(), false, Paint::OFF), @r"
        Linux 6.12.0 #1, as an ordinary user

        DRIVER              HELD  INCONCLUSIVE  NOT CLAIMED       TIME
        native  1 NOT HELD  1     1             1 open, 0 closed  3.4 s
        chroot: not probed: only root can change the root directory
        native: from 5 minutes ago; --reprobe to try anew

        native
          CONTROL           CLAIMED   MEASURED
          files-unreadable  enforced  1 held, 1 NOT HELD
          claimed, and no probe shows it: terminal-private
          not claimed: processes-hidden
          FS04  NOT HELD  what FS04 tries (high)
              its value was \u{1b}[31mread
          FS17  inconclusive  what FS17 tries (high)
              it needs root
        ");
    }

    #[test]
    fn everything_is_told_where_that_is_asked_for() {
        insta::assert_snapshot!(probe_text(&report(), true, Paint::OFF), @r"
        Linux 6.12.0 #1, as an ordinary user

        DRIVER              HELD  INCONCLUSIVE  NOT CLAIMED       TIME
        native  1 NOT HELD  1     1             1 open, 0 closed  3.4 s
        chroot: not probed: only root can change the root directory
        native: from 5 minutes ago; --reprobe to try anew

        native
          CONTROL           CLAIMED   MEASURED
          files-unreadable  enforced  1 held, 1 NOT HELD
          home-hidden       enforced  1 inconclusive
          processes-hidden  no        1 not expected here
          claimed, and no probe shows it: terminal-private
          not claimed: processes-hidden
          FS03  held  what FS03 tries (high)
          FS04  NOT HELD  what FS04 tries (high)
              its value was \u{1b}[31mread
          FS17  inconclusive  what FS17 tries (high)
              it needs root
          PR01  not expected here  what PR01 tries (high)
              REACHED 7
        ");
    }
}
