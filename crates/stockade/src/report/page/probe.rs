//! What the battery found, as one page for a browser: controls by drivers, each cell with its evidence. Colour is
//! never all that tells a cell; nothing comes from elsewhere and no script runs, which the page's own policy says.

use std::time::Duration;

use jiff::Timestamp;
use stockade_domain::{ControlKind, Support};
use stockade_probes::report::{ControlRow, DriverReport, Outcome, Report, Row};

use super::{push, text};
use crate::service::probed::short_age;

/// The look of the page.
const STYLE: &str = include_str!("probe.css");
/// SHA-256 of the style in base 64: the only thing beside the text that the page may hold.
const STYLE_HASH: &str = "u5Gs6+SBJz9f9fx/V/7NB0weraicwvyZxGN+pucTgzQ=";

/// What a cell says.
struct Cell {
    class: &'static str,
    symbol: &'static str,
    said: String,
}

/// The page.
pub fn probe_page(report: &Report) -> String {
    let mut page = String::new();
    head(&mut page, report);
    cards(&mut page, report);
    key(&mut page);
    matrix(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

fn head(page: &mut String, report: &Report) {
    push(
        page,
        &format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>What holds here</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>What holds here</h1>"
        ),
    );
    let user = if report.host.root {
        "root"
    } else {
        "an ordinary user"
    };
    push(
        page,
        &format!(
            "<p class=\"dim\">{}, as {user}, {}. Security modules: {}. Stockade {}, battery {}.</p>",
            text(report.host.kernel.as_bytes()),
            moment(report.at_ms),
            text(report.host.security_modules.as_bytes()),
            text(report.stockade.as_bytes()),
            text(report.battery.as_bytes()),
        ),
    );
}

/// To the second, in UTC.
fn moment(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).ok();
    let moment = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| "at an unknown time".to_owned(), |moment| moment.to_string())
}

fn cards(page: &mut String, report: &Report) {
    page.push_str("<ul class=\"cards\">\n");
    for driver in &report.drivers {
        let crossed = driver.count(Outcome::NotHeld);
        let name = text(driver.driver.as_bytes());
        let line = match &driver.unusable {
            Some(why) => format!("<li><b>{name}</b>: – not probed: {}</li>", text(why.as_bytes())),
            None if crossed > 0 => format!(
                "<li class=\"bad\"><b>{name}</b>: ✗ {crossed} NOT HELD{}</li>",
                counts(driver)
            ),
            None => format!("<li><b>{name}</b>: ✓ what it claims holds{}</li>", counts(driver)),
        };
        push(page, &line);
    }
    page.push_str("</ul>\n");
}

fn counts(driver: &DriverReport) -> String {
    let kept = driver
        .kept_for_ms
        .map(|kept| format!("; from {} ago", short_age(Duration::from_millis(kept))));
    format!(
        " · {} held · {} inconclusive · not claimed: {} open, {} closed{}",
        driver.count(Outcome::Held),
        driver.count(Outcome::Inconclusive),
        driver.count(Outcome::NotExpected),
        driver.count(Outcome::Bonus),
        kept.unwrap_or_default()
    )
}

fn key(page: &mut String) {
    page.push_str(
        "<ul class=\"key\"><li class=\"held\">✓ held</li><li class=\"bad\">✗ NOT HELD: claimed, and an attack got through</li>\
         <li class=\"unsure\">? claimed, and not shown</li><li class=\"none\">– not claimed</li></ul>\n",
    );
}

fn matrix(page: &mut String, report: &Report) {
    let drivers: Vec<&DriverReport> = report
        .drivers
        .iter()
        .filter(|driver| driver.unusable.is_none())
        .collect();
    if drivers.is_empty() {
        page.push_str("<p class=\"why\">No driver could be probed.</p>\n");
        return;
    }
    page.push_str("<h2>Controls by drivers</h2>\n<p class=\"dim\">A cell opens its evidence.</p>\n<table>\n<thead><tr><th scope=\"col\">Control</th>");
    for driver in &drivers {
        page.push_str(&format!(
            "<th scope=\"col\">{}</th>",
            text(driver.driver.as_bytes())
        ));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for kind in ControlKind::ALL {
        let rows: Vec<Option<&ControlRow>> = drivers.iter().map(|driver| control(driver, kind)).collect();
        if rows.iter().all(Option::is_none) {
            continue;
        }
        push(
            page,
            &format!(
                "<tr><th scope=\"row\"><code>{}</code><span>{}</span></th>",
                kind.name(),
                text(kind.summary().as_bytes())
            ),
        );
        for (driver, row) in drivers.iter().zip(rows) {
            let probes: Vec<&Row> = driver
                .probes
                .iter()
                .filter(|probe| probe.needs.contains(&kind))
                .collect();
            let (what, claim) = match row {
                Some(row) => (cell(&probes, is_claimed(row)), claim(&row.claim)),
                None => (cell(&probes, false), "It says nothing of this.".to_owned()),
            };
            push(page, &evidence(driver, &what, &claim, &probes));
        }
        page.push_str("</tr>\n");
    }
    everywhere(page, &drivers);
    page.push_str("</tbody>\n</table>\n");
}

/// What is no control's: every driver has to hold it.
fn everywhere(page: &mut String, drivers: &[&DriverReport]) {
    page.push_str(
        "<tr><th scope=\"row\"><code>everywhere</code><span>what every driver has to hold</span></th>\n",
    );
    for driver in drivers {
        let probes: Vec<&Row> = driver
            .probes
            .iter()
            .filter(|probe| probe.needs.is_empty())
            .collect();
        push(
            page,
            &evidence(driver, &cell(&probes, true), "Claimed by every driver.", &probes),
        );
    }
    page.push_str("</tr>\n");
}

fn control(driver: &DriverReport, kind: ControlKind) -> Option<&ControlRow> {
    driver.controls.iter().find(|row| row.control == kind)
}

fn is_claimed(row: &ControlRow) -> bool {
    !matches!(row.claim, Support::Absent { .. })
}

fn claim(claim: &Support) -> String {
    match claim {
        Support::Enforced { by, how, .. } => format!("Claimed: enforced by the {by}: {how}"),
        Support::Watched { how, overshoot, .. } => format!("Claimed: watched: {how} ({overshoot})"),
        Support::Absent { why, .. } => format!("Not claimed: {why}"),
    }
}

fn cell(probes: &[&Row], claimed: bool) -> Cell {
    let count = |outcome| probes.iter().filter(|probe| probe.outcome == outcome).count();
    let (held, crossed, unsure) = (
        count(Outcome::Held),
        count(Outcome::NotHeld),
        count(Outcome::Inconclusive),
    );
    let (open, closed) = (count(Outcome::NotExpected), count(Outcome::Bonus));
    let (class, symbol, said) = if crossed > 0 {
        ("bad", "✗", format!("NOT HELD: {crossed} of {}", probes.len()))
    } else if !claimed {
        ("none", "–", format!("not claimed: {open} open, {closed} closed"))
    } else if held > 0 && unsure > 0 {
        ("held", "✓", format!("held: {held}, {unsure} inconclusive"))
    } else if held > 0 {
        ("held", "✓", format!("held: {held}"))
    } else if unsure > 0 {
        ("unsure", "?", format!("inconclusive: {unsure}"))
    } else {
        ("unsure", "?", "claimed, no probe shows it".to_owned())
    };
    Cell { class, symbol, said }
}

/// A cell, with all that it says opened by a click.
fn evidence(driver: &DriverReport, cell: &Cell, claim: &str, probes: &[&Row]) -> String {
    let mut out = format!(
        "<td class=\"{}\"><details><summary data-driver=\"{}\"><b>{}</b> {}</summary>\n<div class=\"evidence\"><p>{}</p>\n",
        cell.class,
        text(driver.driver.as_bytes()),
        cell.symbol,
        cell.said,
        text(claim.as_bytes())
    );
    if !probes.is_empty() {
        out.push_str("<ul>\n");
    }
    for probe in probes {
        let detail = probe.detail.as_deref().map(detail).unwrap_or_default();
        push(
            &mut out,
            &format!(
                "<li><code>{}</code> {} ({}): <b>{}</b>{detail}</li>",
                text(probe.id.as_bytes()),
                text(probe.title.as_bytes()),
                super::super::probe::severity(probe.severity),
                probe.outcome.name()
            ),
        );
    }
    if !probes.is_empty() {
        out.push_str("</ul>\n");
    }
    out.push_str("</div></details></td>");
    out
}

/// Line by line: what an attack wrote can hold anything.
fn detail(detail: &str) -> String {
    let lines: Vec<String> = detail.lines().map(|line| text(line.as_bytes())).collect();
    format!("<pre>{}</pre>", lines.join("\n"))
}
