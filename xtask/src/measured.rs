//! `measured`: what the probes showed of each driver, as a part of the README and as a page. Filled by results of
//! the steps `battery` and `battery-user` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tree::Tree;

const README: &str = "README.md";
const PAGE: &str = "docs/measured.md";
const BEGIN: &str = "<!-- measured: written by `cargo xtask measured` -->\n";
const END: &str = "<!-- measured: end -->\n";
/// The form of reports that this reads.
const VERSION: u32 = 1;

const HEAD: &str = "\
# What the probes showed

Written by `cargo xtask measured` from results of the battery; not by hand. [probes.md](probes.md) says what a probe is.
`held` and `not held` are claimed; `open` and `closed` are not, and the attack did or did not get there; `inconclusive` shows
nothing, for the reason below the table.
";

#[derive(Deserialize)]
struct Report {
    version: u32,
    at_ms: u64,
    host: Host,
    drivers: Vec<Driver>,
}

#[derive(Deserialize)]
struct Host {
    kernel: String,
    root: bool,
}

#[derive(Deserialize)]
struct Driver {
    driver: String,
    unusable: Option<String>,
    probes: Vec<Probe>,
    took_ms: u64,
}

#[derive(Deserialize)]
struct Probe {
    id: String,
    group: String,
    title: String,
    outcome: String,
    detail: Option<String>,
}

/// One driver as one user.
struct Column {
    name: String,
    driver: Driver,
}

/// Where the battery's results are kept for this.
pub fn results(tree: &Tree) -> Result<PathBuf> {
    let kept = tree.target.join("measured");
    std::fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    Ok(kept)
}

/// Writes both from the last results.
pub fn write(tree: &Tree) -> Result<()> {
    let mut reports = Vec::new();
    for name in ["battery", "battery-user"] {
        let path = results(tree)?.join(format!("{name}.json"));
        let text = std::fs::read(&path)
            .with_context(|| format!("{}: run `cargo xtask test --only {name}` first", path.display()))?;
        let report: Report = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        ensure!(
            report.version == VERSION,
            "{}: of another version",
            path.display()
        );
        reports.push(report);
    }
    let where_and_when = where_and_when(&reports)?;
    let columns = columns(reports);
    let readme = tree.read(README.as_ref())?;
    std::fs::write(
        tree.root.join(README),
        replaced(&readme, &table(&columns, &where_and_when)?)?,
    )?;
    std::fs::write(tree.root.join(PAGE), page(&columns, &where_and_when)?)?;
    println!("written to {README} and {PAGE}");
    Ok(())
}

fn where_and_when(reports: &[Report]) -> Result<String> {
    let first = reports.first().context("a report")?;
    let at = jiff::Timestamp::from_millisecond(i64::try_from(first.at_ms)?)?;
    let release = first.host.kernel.split_whitespace().nth(1).unwrap_or_default();
    let version = release.split('-').next().unwrap_or_default();
    Ok(format!("{}, Linux {version}", at.strftime("%Y-%m-%d")))
}

fn columns(reports: Vec<Report>) -> Vec<Column> {
    let mut columns = Vec::new();
    for report in reports {
        let user = if report.host.root { "root" } else { "user" };
        for driver in report.drivers {
            columns.push(Column {
                name: format!("{}, {user}", driver.driver),
                driver,
            });
        }
    }
    columns.sort_by_key(|column| (column.driver.driver != "native", column.name.clone()));
    columns
}

fn counts(driver: &Driver) -> [usize; 5] {
    ["held", "not-held", "inconclusive", "not-expected", "bonus"].map(|outcome| {
        driver
            .probes
            .iter()
            .filter(|probe| probe.outcome == outcome)
            .count()
    })
}

fn table(columns: &[Column], where_and_when: &str) -> Result<String> {
    let mut text = String::from(
        "| driver, as | held | not held | inconclusive | not claimed: open | closed | seconds |\n|---|---|---|---|---|---|---|\n",
    );
    for column in columns.iter().filter(|column| column.driver.unusable.is_none()) {
        let [held, not_held, inconclusive, open, closed] = counts(&column.driver);
        let tenths = column.driver.took_ms.div_ceil(100);
        writeln!(
            text,
            "| {} | {held} | {not_held} | {inconclusive} | {open} | {closed} | {}.{} |",
            column.name,
            tenths / 10,
            tenths % 10
        )?;
    }
    writeln!(
        text,
        "\nMeasured by `stockade probe` on {where_and_when}; each probe is in [docs/measured.md](docs/measured.md). \
         [docs/mutants.md](docs/mutants.md) shows which probes notice when a protection is missing."
    )?;
    Ok(text)
}

fn replaced(readme: &str, table: &str) -> Result<String> {
    let missing = || format!("{README} has no place for it between {BEGIN} and {END}");
    let (before, rest) = readme.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

fn page(columns: &[Column], where_and_when: &str) -> Result<String> {
    let mut page = format!("{HEAD}\n{where_and_when}.\n");
    for column in columns {
        if let Some(why) = &column.driver.unusable {
            writeln!(page, "\n- {}: not for this user: {why}", column.name)?;
        }
    }
    let usable: Vec<&Column> = columns
        .iter()
        .filter(|column| column.driver.unusable.is_none())
        .collect();
    let heads: Vec<&str> = usable.iter().map(|column| column.name.as_str()).collect();
    for (group, rows) in groups(&usable) {
        writeln!(
            page,
            "\n## {group}\n\n| id | what is tried | {} |",
            heads.join(" | ")
        )?;
        writeln!(page, "|---|---|{}", "---|".repeat(usable.len()))?;
        let mut notes = BTreeSet::new();
        for (id, title) in rows {
            let mut cells = Vec::new();
            for column in &usable {
                let found = column.driver.probes.iter().find(|probe| probe.id == id);
                cells.push(found.map_or("not run", |probe| word(&probe.outcome)));
                let reason = found.filter(|probe| probe.outcome == "inconclusive");
                let reason = reason.and_then(|probe| probe.detail.as_deref());
                notes.extend(reason.map(|why| format!("- {id}, {}: {}", column.name, brief(why))));
            }
            writeln!(
                page,
                "| {id} | {} | {} |",
                title.replace('|', "\\|"),
                cells.join(" | ")
            )?;
        }
        if !notes.is_empty() {
            writeln!(page, "\n{}", notes.into_iter().collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(page)
}

fn groups<'a>(columns: &[&'a Column]) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a str>> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for probe in columns.iter().flat_map(|column| &column.driver.probes) {
        groups
            .entry(&probe.group)
            .or_default()
            .insert(&probe.id, &probe.title);
    }
    groups
}

fn word(outcome: &str) -> &'static str {
    match outcome {
        "held" => "held",
        "inconclusive" => "inconclusive",
        "not-expected" => "open",
        "bonus" => "closed",
        _ => "**not held**",
    }
}

/// What a reason says before it comes to what was seen on one machine.
fn brief(reason: &str) -> String {
    let general = reason.split("; exit ").next().unwrap_or(reason);
    general
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(id: &str, outcome: &str) -> Probe {
        Probe {
            id: id.to_owned(),
            group: "files".to_owned(),
            title: "a | b".to_owned(),
            outcome: outcome.to_owned(),
            detail: Some("no such device; exit 1: /somewhere".to_owned()),
        }
    }

    fn report() -> Report {
        Report {
            version: VERSION,
            at_ms: 1_772_323_200_000,
            host: Host {
                kernel: "Linux 6.12.9-generic #1".to_owned(),
                root: true,
            },
            drivers: vec![Driver {
                driver: "native".to_owned(),
                unusable: None,
                probes: vec![
                    probe("A", "held"),
                    probe("B", "inconclusive"),
                    probe("C", "unheard-of"),
                ],
                took_ms: 1_234,
            }],
        }
    }

    #[test]
    fn what_is_not_known_is_not_held() {
        let page = page(&columns(vec![report()]), "a day").expect("a page");
        assert!(page.contains("| C | a \\| b | **not held** |"), "{page}");
        assert!(page.contains("- B, native, root: no such device\n"), "{page}");
    }

    #[test]
    fn the_readme_keeps_all_but_its_table() {
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let reports = [report()];
        let where_and_when = where_and_when(&reports).expect("a day");
        let table = table(&columns(reports.into()), &where_and_when).expect("a table");
        let new = replaced(&readme, &table).expect("its place");
        assert!(new.starts_with("before\n") && new.ends_with("after\n") && !new.contains("old"));
        assert!(
            new.contains("| native, root | 1 | 0 | 1 | 0 | 0 | 1.3 |"),
            "{new}"
        );
        assert!(new.contains("2026-03-01, Linux 6.12.9;"), "{new}");
    }
}
