//! What holds for a run, as text: layers, clauses, controls, and what drivers say of them.

use std::fmt::Write;

use stockade_domain::{Need, Support};

use super::plan::{level, section, value};
use super::{Paint, Shown, table};
use crate::service::policy::{ClauseRow, ControlRow, Explained};

/// The whole explanation.
pub fn explained_text(explained: &Explained, paint: Paint) -> String {
    let mut text = paint.bold("Layers");
    text.push('\n');
    if explained.layers.is_empty() {
        text.push_str("no policy files: the defaults hold\n");
    }
    text.push_str(&table(
        paint,
        &["LAYER", "FILE"],
        explained
            .layers
            .iter()
            .map(|file| vec![file.layer.to_string(), Shown(file.path.as_os_str()).to_string()]),
    ));
    if !explained.floor.is_empty() {
        section(&mut text, paint, "Floor: no layer may be looser");
        text.push_str(&clauses(paint, &explained.floor));
    }
    section(&mut text, paint, "Clauses");
    text.push_str(&clauses(paint, &explained.clauses));
    section(&mut text, paint, "Controls");
    text.push_str(&controls(paint, explained));
    section(&mut text, paint, "Drivers");
    text.push_str(&drivers(paint, explained));
    text
}

fn clauses(paint: Paint, rows: &[ClauseRow]) -> String {
    table(
        paint,
        &["CLAUSE", "VALUE", "WRITTEN BY", "TIGHTER"],
        rows.iter().map(|row| {
            vec![
                row.clause.clone(),
                Shown::new(&row.value).to_string(),
                Shown::new(&row.origin.to_string()).to_string(),
                row.tighter.to_owned(),
            ]
        }),
    )
}

fn controls(paint: Paint, explained: &Explained) -> String {
    let drivers: Vec<String> = explained
        .drivers
        .iter()
        .map(|row| row.driver.to_uppercase())
        .collect();
    let mut heading = vec!["CONTROL", "VALUE", "NEED", "ASKED BY"];
    heading.extend(drivers.iter().map(String::as_str));
    table(
        paint,
        &heading,
        explained.controls.iter().map(|row| control(row, paint)),
    )
}

fn control(row: &ControlRow, paint: Paint) -> Vec<String> {
    let demand = &row.demand;
    let need = match demand.need {
        Need::Require => "require",
        Need::Prefer => "prefer",
    };
    let mut cells = vec![
        demand.control.kind().name().to_owned(),
        value(&demand.control),
        need.to_owned(),
        Shown::new(&demand.origin.to_string()).to_string(),
    ];
    cells.extend(row.support.iter().map(|support| match support {
        Support::Enforced { by, .. } => paint.green(&by.to_string()),
        Support::Watched { by, .. } => paint.yellow(&format!("watched by {by}")),
        Support::Absent { .. } if demand.need == Need::Require => paint.red("refused"),
        Support::Absent { .. } => paint.yellow("nobody"),
    }));
    cells
}

/// Each driver, with what it does not enforce and why.
fn drivers(paint: Paint, explained: &Explained) -> String {
    let mut text = String::new();
    for (index, driver) in explained.drivers.iter().enumerate() {
        let verdict = match driver.refused {
            0 => paint.green("meets the policy"),
            1 => paint.red("refused: 1 required control is missing"),
            count => paint.red(&format!("refused: {count} required controls are missing")),
        };
        let _ = writeln!(
            text,
            "{} (level: {}): {verdict}",
            driver.driver,
            level(driver.level)
        );
        let probed = Shown::new(&driver.probed.to_string()).to_string();
        let _ = writeln!(
            text,
            "  {}",
            match driver.contradicted {
                true => paint.red(&format!("refused: {probed}")),
                false => probed,
            }
        );
        for row in &explained.controls {
            let Some(why) = row.support.get(index).and_then(shortfall) else {
                continue;
            };
            let _ = writeln!(text, "  {}: {}", row.demand.control.kind(), Shown::new(&why));
        }
    }
    text
}

fn shortfall(support: &Support) -> Option<String> {
    match support {
        Support::Enforced { .. } => None,
        Support::Watched { how, overshoot, .. } => Some(format!("only watched: {how} ({overshoot})")),
        Support::Absent { why, fix: Some(fix) } => Some(format!("{why}; fix: {fix}")),
        Support::Absent { why, fix: None } => Some(why.clone()),
    }
}
