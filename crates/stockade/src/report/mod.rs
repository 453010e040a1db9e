//! What a person or a program reads: text that cannot trick a terminal, tables, plans,
//! endings, events.

mod advice;
mod audit;
mod budget;
mod changes;
mod claims;
mod conflict;
mod diff;
mod doctor;
mod ending;
mod events;
mod evidence;
mod explain;
mod git;
mod lint;
mod page;
mod paint;
mod plan;
mod probe;
mod sarif;
mod shown;
mod table;

pub use advice::advice_text;
pub use audit::record_line;
pub use budget::budget_text;
pub use changes::{change_line, counts_line, found_line};
pub use claims::claims_text;
pub use conflict::three_way_text;
pub use diff::{diff_names, diff_stat, diff_text};
pub use doctor::diagnosis_text;
pub use ending::{
    Outcome, ended_line, exit_clause, kills_clause, processes, shortfall_line, unrecorded_line,
};
pub use events::{Event, StatusFd};
pub use evidence::{evidence_json, evidence_text};
pub use explain::explained_text;
pub use git::{git_lines, taken_lines};
pub use lint::{lint_text, rules_text};
pub use page::{probe_page, review_page};
pub use paint::Paint;
pub use plan::plan_text;
pub use probe::{probe_text, probes_text};
pub use sarif::{lint_sarif, sarif};
pub use shown::{Shown, age, command_text, cut, harmless, shorten};
pub use table::table;

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// Writes a line of JSON to standard output.
pub fn json(value: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    out(&text)
}

/// Writes a line to standard output. False if nobody reads it any more.
pub fn line(text: &str) -> std::io::Result<bool> {
    match std::io::stdout().lock().write_all(format!("{text}\n").as_bytes()) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Seconds since a moment, which is in milliseconds since 1970.
pub fn seconds_since(moment_ms: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs().saturating_sub(moment_ms / 1000)
}

/// Writes to standard output. A reader that left early (`| head`) is no error.
pub fn out(text: &str) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says something on standard error, in one piece. There is nowhere to report a failure to.
pub fn note(text: &str) {
    say(&harmless(text));
}

/// Says on standard error what failed.
pub fn error(text: &str) {
    say(&format!("{} {}", Paint::stderr().red("error:"), harmless(text)));
}

/// Says something while a command has the terminal, which may be raw.
pub fn aside(text: &str) {
    if std::io::stderr().is_terminal() {
        let line = format!("\r\nstockade: {}\r\n", harmless(text));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    } else {
        note(text);
    }
}

fn say(text: &str) {
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("stockade: {text}\n").as_bytes());
}

/// Writes a line of JSON to standard error, in one piece.
pub fn note_json(value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    // There is nowhere to report a failure to.
    let _ = std::io::stderr().lock().write_all(&line);
    Ok(())
}
