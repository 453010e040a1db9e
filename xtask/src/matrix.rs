//! `matrix`: what the conformance suite showed, as a page. Its columns are filled by results
//! alone: shown on the real engine, in simulation, or not at all.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tree::Tree;

/// One run of the suite, as it writes it.
#[derive(Deserialize)]
struct Run {
    driver: String,
    user: String,
    kernel: String,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    id: String,
    group: String,
    intent: String,
    column: String,
    outcome: String,
}

/// A row: what each column says, in the order of the runs.
#[derive(Default)]
struct Row {
    intent: String,
    columns: BTreeMap<String, Vec<String>>,
}

const COLUMNS: [&str; 3] = ["real", "simulated", "not-run"];

/// Writes `docs/matrix.md` from the results of the last run of the suite.
pub fn write(tree: &Tree) -> Result<()> {
    let runs = runs(tree)?;
    let page = page(&runs);
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
                "{}: run `cargo xtask test --only tests` first",
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
    files
        .iter()
        .map(|path| {
            let text = std::fs::read(path).with_context(|| path.display().to_string())?;
            serde_json::from_slice(&text).with_context(|| path.display().to_string())
        })
        .collect()
}

fn page(runs: &[Run]) -> String {
    let mut page = String::from(
        "# What was shown\n\nWritten by `cargo xtask matrix` from results of the conformance suite; not by hand. `real`: on the real\n\
         engine; `simulated`: against a stand-in; `not run`: not at all, for the reason that the run printed.\n",
    );
    for run in runs {
        let _ = write!(
            page,
            "\n- driver {}, as {}, Linux {}",
            run.driver,
            run.user,
            run.kernel.split('-').next().unwrap_or_default()
        );
    }
    page.push('\n');
    for (group, rows) in rows(runs) {
        let _ = write!(
            page,
            "\n## {group}\n\n| id | behaviour | real | simulated | not run |\n|---|---|---|---|---|\n"
        );
        for (id, row) in rows {
            let cell = |column: &str| {
                row.columns
                    .get(column)
                    .map_or(String::new(), |said| said.join(", "))
            };
            let cells = COLUMNS.map(cell).join(" | ");
            let _ = writeln!(page, "| {id} | {} | {cells} |", row.intent.replace('|', "\\|"));
        }
    }
    page
}

fn rows(runs: &[Run]) -> BTreeMap<String, BTreeMap<String, Row>> {
    let mut groups: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
    for run in runs {
        for result in &run.results {
            let row = groups
                .entry(result.group.clone())
                .or_default()
                .entry(result.id.clone())
                .or_default();
            row.intent.clone_from(&result.intent);
            row.columns
                .entry(result.column.clone())
                .or_default()
                .push(format!("{} ({})", result.outcome, run.user));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_stands_in_its_own_column_only() {
        let text = r#"{"driver":"native","user":"root","kernel":"6","results":[
            {"id":"A","group":"g","intent":"i","column":"not-run","outcome":"skipped"}]}"#;
        let run: Run = serde_json::from_str(text).unwrap();
        assert!(page(&[run]).contains("| A | i |  |  | skipped (root) |"));
    }
}
