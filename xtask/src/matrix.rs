//! `matrix`: what the conformance suite showed, as a page. Its columns, one for each driver and
//! user, are filled by results alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tree::Tree;

/// The form of results that this reads.
const VERSION: u32 = 2;

/// One run of the suite for one driver, as it writes it.
#[derive(Deserialize)]
struct Run {
    version: u32,
    driver: String,
    user: String,
    kernel: String,
    /// Why this user gets no sandbox from the driver.
    refused: Option<String>,
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    group: String,
    intent: String,
    outcome: Outcome,
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Shown,
    Simulated,
    Failed,
    NotClaimed,
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Simulated => "shown (simulated)",
            Self::Failed => "**fails**",
            Self::NotClaimed => "not claimed",
            Self::Skipped => "skipped",
        }
    }
}

const HEAD: &str = "\
# What was shown

Written by `cargo xtask matrix` from results of the conformance suite; not by hand.

- `shown`: it holds, on the real thing; `shown (simulated)`: with something made to look different.
- `not claimed`: the driver does not have what this is about. Of a control its plan says so, and a policy that requires
  it is refused; of anything else a program inside tried it and failed. Both were checked.
- `skipped`: it could not be checked there; the reason stands below the table.
- `not run`: there is no result.
";

/// Writes `docs/matrix.md` from the results of the last run of the suite.
pub fn write(tree: &Tree) -> Result<()> {
    let page = page(&runs(tree)?);
    let path = tree.root.join("docs/matrix.md");
    std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn runs(tree: &Tree) -> Result<Vec<Run>> {
    let directory = tree.target.join("conformance");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .with_context(|| {
            format!(
                "{}: run `cargo xtask test --only tests --only user` first",
                directory.display()
            )
        })?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    ensure!(
        !files.is_empty(),
        "{} holds no results: run the suite first",
        directory.display()
    );
    let mut runs: Vec<Run> = files.iter().map(|path| read(path)).collect::<Result<_>>()?;
    // The default driver first, as in the suite's own table.
    runs.sort_by_key(|run| (run.driver != "native", run.driver.clone(), run.user.clone()));
    Ok(runs)
}

fn read(path: &std::path::Path) -> Result<Run> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let run: Run =
        serde_json::from_slice(&text).with_context(|| format!("{}: run the suite again", path.display()))?;
    ensure!(run.version == VERSION, "{}: of another version", path.display());
    Ok(run)
}

fn page(runs: &[Run]) -> String {
    let mut page = HEAD.to_owned();
    for run in runs {
        let kernel = run.kernel.split('-').next().unwrap_or_default();
        let _ = write!(page, "\n- driver {}, as {}, Linux {kernel}", run.driver, run.user);
        if let Some(says) = &run.refused {
            let _ = write!(page, ": refused, as it should be (\"{says}\")");
        }
    }
    page.push('\n');
    let columns: Vec<&Run> = runs.iter().filter(|run| run.refused.is_none()).collect();
    let heads: Vec<String> = columns
        .iter()
        .map(|run| format!("{}, {}", run.driver, run.user))
        .collect();
    for (group, rows) in rows(&columns) {
        let _ = write!(
            page,
            "\n## {group}\n\n| id | behaviour | {} |\n|---|---|{}\n",
            heads.join(" | "),
            "---|".repeat(columns.len())
        );
        for (id, row) in &rows {
            let cell = |run: &&Run| row.cells.get(&key(run)).copied().unwrap_or("not run");
            let cells: Vec<&str> = columns.iter().map(cell).collect();
            let _ = writeln!(page, "| {id} | {} | {} |", row.intent, cells.join(" | "));
        }
        let notes: BTreeSet<&String> = rows.values().flat_map(|row| &row.notes).collect();
        if !notes.is_empty() {
            page.push('\n');
            notes.iter().for_each(|note| {
                let _ = writeln!(page, "- {note}");
            });
        }
    }
    page
}

/// A row: what each column says, and why where that needs a reason.
#[derive(Default)]
struct Row {
    intent: String,
    cells: BTreeMap<(String, String), &'static str>,
    notes: BTreeSet<String>,
}

fn key(run: &Run) -> (String, String) {
    (run.driver.clone(), run.user.clone())
}

fn rows(runs: &[&Run]) -> BTreeMap<String, BTreeMap<String, Row>> {
    let mut groups: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
    for run in runs {
        for entry in &run.results {
            let row = groups
                .entry(entry.group.clone())
                .or_default()
                .entry(entry.id.clone())
                .or_default();
            row.intent = entry.intent.replace('|', "\\|");
            row.cells.insert(key(run), entry.outcome.word());
            if let Some(reason) = &entry.reason {
                row.notes.insert(format!(
                    "{}, {}, {}: {}: {}",
                    entry.id,
                    run.driver,
                    run.user,
                    entry.outcome.word(),
                    brief(reason)
                ));
            }
        }
    }
    groups
}

/// What a reason says before it comes to what was seen on one machine.
fn brief(reason: &str) -> String {
    let general = reason.split("; exit ").next().unwrap_or(reason);
    // Paths of one machine say nothing to others.
    let words = general.split_whitespace().map(|word| {
        if word.starts_with("/sys/fs/cgroup/") {
            "its cgroup"
        } else {
            word
        }
    });
    let text = words.collect::<Vec<_>>().join(" ").replace('|', "\\|");
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(driver: &str, user: &str, refused: &str, results: &str) -> Run {
        let text = format!(
            r#"{{"version":2,"driver":"{driver}","user":"{user}","kernel":"6","refused":{refused},"results":[{results}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const SHOWN: &str = r#"{"id":"A","group":"g","intent":"i","outcome":"shown","reason":null}"#;
    const SKIPPED: &str = r#"{"id":"A","group":"g","intent":"i","outcome":"skipped",
        "reason":"it needs root; exit 0: note of one machine"}"#;

    #[test]
    fn a_result_stands_in_the_column_of_its_driver_and_user() {
        let page = page(&[
            run("native", "root", "null", SHOWN),
            run("native", "user", "null", SKIPPED),
        ]);
        assert!(
            page.contains("| id | behaviour | native, root | native, user |"),
            "{page}"
        );
        assert!(page.contains("| A | i | shown | skipped |"), "{page}");
        assert!(
            page.contains("- A, native, user: skipped: it needs root\n"),
            "{page}"
        );
    }

    #[test]
    fn what_has_no_result_was_not_run() {
        let page = page(&[
            run("native", "root", "null", SHOWN),
            run("other", "root", "null", ""),
        ]);
        assert!(page.contains("| A | i | shown | not run |"), "{page}");
    }

    #[test]
    fn a_driver_that_refuses_a_user_has_no_column_for_it() {
        let page = page(&[
            run("native", "root", "null", SHOWN),
            run("other", "root", "\"run as an ordinary user\"", ""),
        ]);
        assert!(page.contains("| A | i | shown |\n"), "{page}");
        assert!(page.contains("driver other, as root, Linux 6: refused"), "{page}");
    }

    #[test]
    fn no_path_of_one_machine_is_kept() {
        assert_eq!(
            brief("pids: /sys/fs/cgroup/pids/x belongs to another user"),
            "pids: its cgroup belongs to another user"
        );
    }
}
