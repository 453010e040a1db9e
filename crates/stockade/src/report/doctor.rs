//! What a host can do, on one screen.

use std::fmt::Write;

use stockade_host::doctor::{Check, DriverReport, Observed, Shortfall, Verdict};

use super::plan::level;
use super::{Paint, Shown, shorten, table};
use crate::service::doctor::Diagnosis;

/// Longest finding in the table; the list below it has the rest.
const WIDEST: usize = 72;
/// Checks that share a line where their answer is the same.
const NAMESPACE: &str = "namespace-";
/// Checks that are listed in one line.
const ENGINE: &str = "engine-";

/// The whole report.
pub fn diagnosis_text(diagnosis: &Diagnosis, paint: Paint) -> String {
    let mut text = heading(&diagnosis.observed, diagnosis.version);
    text.push('\n');
    text.push_str(&table(
        paint,
        &["DRIVER", "LEVEL", "WITH THE DEFAULT POLICY"],
        diagnosis.drivers.iter().map(|driver| driver_row(driver, paint)),
    ));
    for (driver, last) in diagnosis.drivers.iter().zip(&diagnosis.probed) {
        let line = Shown::new(&last.to_string()).to_string();
        let line = if last.probe.contradictions().is_empty() {
            line
        } else {
            paint.red(&line)
        };
        let _ = writeln!(text, "{}: {line}", driver.name);
    }
    text.push('\n');
    text.push_str(&table(
        paint,
        &["CHECK", "RESULT", "FOUND"],
        rows(&diagnosis.checks, paint),
    ));
    to_do(&mut text, &diagnosis.checks, paint);
    let verdict = if diagnosis.works {
        paint.green("The default run works.")
    } else {
        paint.red("The default run does not work.")
    };
    let _ = writeln!(text, "\n{verdict}"); // writing to a string cannot fail
    text
}

fn heading(seen: &Observed, version: &str) -> String {
    let system = &seen.system;
    let inside = match &system.container {
        Some(kind) => format!(", with the marks of {}", Shown::new(kind)),
        None => String::new(),
    };
    let stockade_domain::target::Facts::Host(facts) = &seen.target.facts;
    let who = match (facts.euid, facts.privileged) {
        (0, true) => "as root".to_owned(),
        (0, false) => "as root without its rights".to_owned(),
        (id, _) => format!("as user {id}"),
    };
    format!(
        "Stockade {version} on {}, {}{inside}, {who}\n",
        Shown::new(&system.name),
        Shown::new(&system.architecture),
    )
}

fn driver_row(driver: &DriverReport, paint: Paint) -> Vec<String> {
    let state = if !driver.refused.is_empty() {
        paint.red(&format!("refused, for {}", names(&driver.refused)))
    } else if !driver.without.is_empty() {
        paint.yellow(&format!("can be planned, without {}", names(&driver.without)))
    } else {
        paint.green("can be planned, nothing missing")
    };
    vec![driver.name.to_owned(), level(driver.level).to_owned(), state]
}

/// The first few: a driver that cannot start at all lacks every control.
fn names(shortfalls: &[Shortfall]) -> String {
    const SHOWN: usize = 4;
    let names: Vec<_> = shortfalls.iter().take(SHOWN).map(|one| one.control).collect();
    match shortfalls.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn rows(checks: &[Check], paint: Paint) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for group in grouped(checks) {
        let [first, rest @ ..] = group.as_slice() else {
            continue;
        };
        let mut row = row(first, paint);
        if !rest.is_empty() {
            let kinds = group.iter().filter_map(|check| check.id.strip_prefix(NAMESPACE));
            let kinds: Vec<_> = kinds.collect();
            "namespaces".clone_into(&mut row[0]);
            row[2] = brief(&format!("{}: {}", kinds.join(", "), row[2]));
        }
        rows.push(row);
    }
    rows.push(engines(checks));
    rows
}

/// Checks by rows: namespaces with the same answer share one, engines have none.
fn grouped(checks: &[Check]) -> Vec<Vec<&Check>> {
    let mut groups: Vec<Vec<&Check>> = Vec::new();
    for check in checks.iter().filter(|check| !check.id.starts_with(ENGINE)) {
        let same = |group: &&mut Vec<&Check>| {
            group
                .first()
                .is_some_and(|first| first.id.starts_with(NAMESPACE) && first.verdict == check.verdict)
        };
        match groups.iter_mut().find(same) {
            Some(group) if check.id.starts_with(NAMESPACE) => group.push(check),
            _ => groups.push(vec![check]),
        }
    }
    groups
}

fn row(check: &Check, paint: Paint) -> Vec<String> {
    let (result, found) = match &check.verdict {
        Verdict::Ok { found } => (paint.green("ok"), found),
        Verdict::Missing { why, .. } if check.id == "default-run" => (paint.red("missing"), why),
        Verdict::Missing { why, .. } => (paint.yellow("missing"), why),
        Verdict::Unknown { why } => (paint.yellow("unknown"), why),
    };
    vec![check.what.clone(), result, brief(found)]
}

/// In one line, cut where the table would grow too wide.
fn brief(text: &str) -> String {
    shorten(&line(text), WIDEST)
}

fn line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    Shown::new(&lines.join(" ")).to_string()
}

fn engines(checks: &[Check]) -> Vec<String> {
    let found: Vec<String> = checks
        .iter()
        .filter(|check| check.id.starts_with(ENGINE))
        .filter_map(|check| match &check.verdict {
            Verdict::Ok { found } => Some(format!("{} {found}", check.what)),
            Verdict::Missing { why, .. } if why == "not installed" => None,
            Verdict::Missing { .. } | Verdict::Unknown { .. } => {
                Some(format!("{} (does not answer)", check.what))
            }
        })
        .collect();
    let list = if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    };
    vec![
        "other engines".to_owned(),
        "found".to_owned(),
        Shown::new(&list).to_string(),
    ]
}

/// What can be mended, with how, each remedy once. Engines that nobody installed are not missed.
fn to_do(text: &mut String, checks: &[Check], paint: Paint) {
    let mut remedies: Vec<(&str, Vec<&Check>)> = Vec::new();
    for check in checks.iter().filter(|check| !check.id.starts_with(ENGINE)) {
        if let Verdict::Missing { fix: Some(fix), .. } = &check.verdict {
            match remedies.iter_mut().find(|(known, _)| known == fix) {
                Some((_, open)) => open.push(check),
                None => remedies.push((fix, vec![check])),
            }
        }
    }
    if !remedies.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("To do"));
    }
    for (fix, open) in remedies {
        let what: Vec<_> = open.iter().map(|check| check.what.as_str()).collect();
        let mut matters: Vec<_> = open.iter().flat_map(|check| &check.matters_to).copied().collect();
        matters.dedup();
        let matters = match matters.as_slice() {
            [] => String::new(),
            all => format!(" (for {})", all.join(", ")),
        };
        let _ = writeln!(text, "  {}{matters}", what.join(", "));
        if let [check] = open.as_slice()
            && let Verdict::Missing { why, .. } = &check.verdict
        {
            let _ = writeln!(text, "    why: {}", line(why));
        }
        let _ = writeln!(text, "    fix: {}", line(fix));
    }
}

#[cfg(test)]
mod tests;
