//! What weakens a wall, for a person and for CI.

use std::fmt::Write;

use stockade_lint::rules::{Rule, Severity};
use stockade_lint::{Finding, Where};

use super::{Paint, Shown, harmless, table};
use crate::service::lint::{Report, Source, Verdict};

/// The findings of each source, what was not understood, and what follows.
pub fn lint_text(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for source in &report.sources {
        text.push_str(&source_text(source, paint));
    }
    text.push_str(&last_line(report, paint));
    text
}

/// The table of rules.
pub fn rules_text(rules: &[Rule], paint: Paint) -> String {
    let rows = rules.iter().map(|rule| {
        let title = rule.title.replace(": {}", "").replace("{}", "…");
        vec![
            rule.id.clone(),
            severity(rule.severity, paint),
            title,
            rule.source.clone(),
        ]
    });
    table(paint, &["ID", "SEVERITY", "WHAT IS THE CASE", "FROM"], rows)
}

fn source_text(source: &Source, paint: Paint) -> String {
    let mut text = String::new();
    let name = paint.bold(&Shown::new(&source.name).to_string());
    if let Some(error) = &source.error {
        let _ = writeln!(
            text,
            "{name}: {}\n{}\n",
            paint.red("not read"),
            indented(error, "  ")
        );
        return text;
    }
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let _ = writeln!(
        text,
        "{name}: {}, {}, {}\n",
        source.format.name(),
        count(source.workloads, "workload"),
        count(source.findings.len(), "finding")
    );
    for finding in &source.findings {
        text.push_str(&finding_text(finding, paint));
    }
    for unknown in &source.not_checked {
        let place = place(&unknown.at);
        let _ = writeln!(
            text,
            "{}  {place}\n{}\n",
            paint.yellow("not checked"),
            indented(&unknown.what, "  ")
        );
    }
    for note in &source.notes {
        let _ = writeln!(text, "note: {}\n", Shown::new(note));
    }
    text
}

fn finding_text(finding: &Finding, paint: Paint) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}  {}  {}",
        severity(finding.severity, paint),
        paint.bold(&finding.rule),
        paint.cyan(&place(&finding.at))
    );
    let _ = writeln!(
        text,
        "  {}: {}",
        Shown::new(&finding.workload),
        Shown::new(&finding.what)
    );
    let _ = writeln!(text, "  gain: {}", finding.gain);
    let _ = writeln!(text, "  fix:  {}", finding.fix);
    if !finding.probes.is_empty() {
        let _ = writeln!(
            text,
            "  shown by: stockade probe --id {}",
            finding.probes.join(" --id ")
        );
    }
    text.push('\n');
    text
}

fn place(at: &Where) -> String {
    Shown::new(&at.to_string()).to_string()
}

fn indented(text: &str, by: &str) -> String {
    harmless(text)
        .lines()
        .map(|line| format!("{by}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn severity(severity: Severity, paint: Paint) -> String {
    let name = severity.name();
    match severity {
        Severity::Critical | Severity::High => paint.red(name),
        Severity::Medium => paint.yellow(name),
        Severity::Low => name.to_owned(),
    }
}

fn last_line(report: &Report, paint: Paint) -> String {
    let mut parts: Vec<String> = Severity::ALL
        .into_iter()
        .filter_map(|level| {
            let count = report.findings().filter(|one| one.severity == level).count();
            (count > 0).then(|| format!("{count} {}", level.name()))
        })
        .collect();
    if parts.is_empty() {
        parts.push("no findings".to_owned());
    }
    let not_checked: usize = report.sources.iter().map(|one| one.not_checked.len()).sum();
    let not_read = report.sources.iter().filter(|one| one.error.is_some()).count();
    if not_checked > 0 {
        parts.push(format!("{not_checked} not checked"));
    }
    if not_read > 0 {
        parts.push(format!("{not_read} not read"));
    }
    let counts = parts.join(", ");
    let mut text = match report.verdict {
        Verdict::Passed => {
            let line = format!(
                "nothing of severity {} or above ({counts})",
                report.fail_on.name()
            );
            // Green is for what was looked at as a whole.
            if not_checked == 0 {
                paint.green(&line)
            } else {
                line
            }
        }
        Verdict::Found => paint.red(&counts),
        Verdict::NotChecked => paint.red(&format!("{counts}: what was not understood was not checked")),
    };
    text.push('\n');
    if !report.ignore.is_empty() {
        let count: usize = report.sources.iter().map(|one| one.ignored.len()).sum();
        let _ = writeln!(text, "ignored: {} ({count} findings)", report.ignore.join(", "));
    }
    text
}
