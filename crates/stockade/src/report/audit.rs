//! A record of the audit log as a line for people.

use serde_json::Value;

use stockade_domain::Exit;
use stockade_domain::spec::Limits;

use super::ending::exit_clause;
use super::{Paint, Shown, command_text, shorten};
use crate::service::audit::{Entry, utc};

/// Longest description.
const WIDTH: usize = 160;

/// `2026-11-21T07:13:44.123Z 0abc… exec-started  cargo build`
pub fn record_line(entry: &Entry, paint: Paint) -> String {
    let kind = format!("{:<15}", Shown::new(entry.kind()).to_string());
    let bad = matches!(entry.kind(), "refused" | "failed" | "lost" | "limit-hit");
    let kind = if bad { paint.red(&kind) } else { kind };
    let line = format!(
        "{} {} {kind} {}",
        utc(entry.at_ms),
        entry.sandbox,
        shorten(&describe(entry), WIDTH)
    );
    line.trim_end().to_owned()
}

fn describe(entry: &Entry) -> String {
    let text = |name: &str| Shown::new(entry.text(name).unwrap_or_default()).to_string();
    let number = |name: &str| entry.event.get(name).and_then(Value::as_u64);
    match entry.kind() {
        "created" => {
            let name = entry.text("name").map(|name| format!("{} ", Shown::new(name)));
            let level = text("level");
            format!(
                "{}{} ({level}){}",
                name.unwrap_or_default(),
                text("driver"),
                by(entry)
            )
        }
        "refused" => format!(
            "{}: {}{}",
            words(entry, "command"),
            first_line(&text("why")),
            by(entry)
        ),
        "failed" => first_line(&text("why")),
        "receipt" => receipt(entry),
        "exec-started" => format!(
            "[{}] {}{}",
            number("exec").unwrap_or_default(),
            words(entry, "command"),
            by(entry)
        ),
        "exec-ended" => format!("[{}] {}", number("exec").unwrap_or_default(), command_end(entry)),
        "process-started" => {
            let parent = number("parent").map_or_else(|| "?".to_owned(), |parent| parent.to_string());
            let pid = number("pid").unwrap_or_default();
            format!(
                "{pid} (from {parent}) {}  in {}",
                words(entry, "argv"),
                text("cwd")
            )
        }
        "process-ended" => format!("{} {}", number("pid").unwrap_or_default(), exit(entry)),
        "limit-hit" => text("limit"),
        "stopped" => text("by"),
        "checkpoint" => checkpoint(entry),
        "host-changed" => host_changed(entry),
        "destroyed" => {
            let left = entry
                .event
                .get("leftovers")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            if left == 0 {
                String::new()
            } else {
                format!("{left} things could not be removed")
            }
        }
        "continued" => format!("from {}", text("from")),
        "lost" => {
            let what = entry.event.get("what").map(Value::to_string).unwrap_or_default();
            format!(
                "{} {}: {}",
                number("count").unwrap_or_default(),
                Shown::new(&what),
                text("why")
            )
        }
        _ => String::new(),
    }
}

fn host_changed(entry: &Entry) -> String {
    let count = entry
        .event
        .get("count")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let changes = if count == 1 { "change" } else { "changes" };
    format!("{count} {changes} of the workspace: {}", words(entry, "paths"))
}

fn checkpoint(entry: &Entry) -> String {
    let number = entry.event.get("number").and_then(Value::as_u64);
    match entry.text("refused") {
        Some(why) => format!(
            "asked for inside, refused: {}",
            first_line(&Shown::new(why).to_string())
        ),
        None => {
            let name = Shown::new(entry.text("name").unwrap_or_default());
            format!("{} asked for inside {name}", number.unwrap_or_default())
        }
    }
}

fn command_end(entry: &Entry) -> String {
    match entry.text("failure") {
        Some(failure) => first_line(&Shown::new(failure).to_string()),
        None => exit(entry),
    }
}

fn first_line(text: &str) -> String {
    text.split("\\n").next().unwrap_or_default().to_owned()
}

fn words(entry: &Entry, field: &str) -> String {
    let words = entry.event.get(field).and_then(Value::as_array);
    let words: Vec<std::ffi::OsString> = words
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(Into::into))
        .collect();
    command_text(&words)
}

fn by(entry: &Entry) -> String {
    let Some(by) = entry.event.get("by") else {
        return String::new();
    };
    let field = |name: &str| by.get(name).filter(|value| !value.is_null());
    let uid = field("uid")
        .map(|uid| format!(" by user {uid}"))
        .unwrap_or_default();
    let program = field("program")
        .and_then(Value::as_str)
        .map(|program| format!(" with {}", Shown::new(program)));
    format!("{uid}{}", program.unwrap_or_default())
}

fn receipt(entry: &Entry) -> String {
    let controls = entry
        .event
        .get("receipt")
        .and_then(|receipt| receipt.get("entries"));
    let count = controls.and_then(Value::as_array).map(Vec::len);
    count.map_or_else(String::new, |count| format!("{count} controls looked at"))
}

fn exit(entry: &Entry) -> String {
    match entry.event.get("exit") {
        None | Some(Value::Null) => "ended".to_owned(),
        Some(value) => match serde_json::from_value::<Exit>(value.clone()) {
            Ok(exit) => exit_clause(&exit, &Limits::default()),
            Err(_) => "ended".to_owned(),
        },
    }
}
