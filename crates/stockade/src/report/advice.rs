//! Which wall, and why, for a person.

use std::fmt::Write;
use std::path::Path;

use stockade_domain::advise::{Advice, Ranked, Reason, Rejected};

use super::Paint;
use super::plan::level;

/// How many of those that would do are told with all their reasons.
const IN_FULL: usize = 2;

/// The choice, what stays open, why not the others, and what to do.
pub fn advice_text(advice: &Advice, policy: Option<&str>, written: Option<&Path>, paint: Paint) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "At least level {}:", paint.bold(level(advice.level)));
    for reason in &advice.because {
        let _ = writeln!(text, "  {}", told(reason));
    }
    text.push_str(&ranked(advice, paint));
    text.push_str(&elsewhere(advice, paint));
    if !advice.rejected.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("Not"));
        advice
            .rejected
            .iter()
            .for_each(|one| text.push_str(&rejected(one)));
    }
    if !advice.notes.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("Know"));
        for note in &advice.notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    if let Some(policy) = policy {
        text.push_str(&what_to_do(policy, written, paint));
    }
    text
}

fn ranked(advice: &Advice, paint: Paint) -> String {
    let mut text = String::new();
    let Some(best) = advice.ranked.first() else {
        let line = "Nothing on this host is strong enough.";
        let _ = writeln!(text, "\n{}", paint.red(line));
        return text;
    };
    let _ = writeln!(
        text,
        "\n{} {}",
        paint.bold("Take"),
        paint.green(&best.strategy.name)
    );
    text.push_str(&reasons(best));
    for open in &best.strategy.open {
        let _ = writeln!(text, "  stays open: {open}");
    }
    for one in advice.ranked.iter().skip(1).take(IN_FULL) {
        let _ = writeln!(text, "\nor {}", one.strategy.name);
        text.push_str(&reasons(one));
    }
    let more: Vec<&str> = advice
        .ranked
        .iter()
        .skip(1 + IN_FULL)
        .map(|one| one.strategy.name.as_str())
        .collect();
    if !more.is_empty() {
        let _ = writeln!(text, "\nor {}", more.join(", "));
    }
    text
}

fn reasons(one: &Ranked) -> String {
    let mut text = String::new();
    for reason in &one.reasons {
        let _ = writeln!(text, "  {}", told(reason));
    }
    for line in &one.measured {
        let _ = writeln!(text, "  here: {line}");
    }
    text
}

fn elsewhere(advice: &Advice, paint: Paint) -> String {
    let mut text = String::new();
    if advice.elsewhere.is_empty() {
        return text;
    }
    let _ = writeln!(text, "\n{}", paint.bold("Would do, and cannot be had here"));
    for one in &advice.elsewhere {
        let why = one.missing.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {} ({}): {why}", one.strategy.name, one.strategy.about);
    }
    text
}

fn rejected(one: &Rejected) -> String {
    let why: Vec<&str> = one.why.iter().map(|reason| reason.text.as_str()).collect();
    format!("  {}: {}\n", one.name, why.join("; "))
}

fn told(reason: &Reason) -> String {
    match &reason.rule {
        Some(rule) => format!("{} [{rule}]", reason.text),
        None => reason.text.clone(),
    }
}

fn what_to_do(policy: &str, written: Option<&Path>, paint: Paint) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\n{}", paint.bold("Policy"));
    for line in policy.lines() {
        let _ = writeln!(text, "  {line}");
    }
    let file = written.map_or_else(|| "FILE".to_owned(), |path| path.display().to_string());
    let _ = writeln!(text, "\nstockade run --policy {file} -- COMMAND");
    if written.is_none() {
        text.push_str("(--policy-out FILE writes it)\n");
    }
    text
}
