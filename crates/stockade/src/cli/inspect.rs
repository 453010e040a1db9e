//! `stockade inspect`.

use std::fmt::Write;

use stockade_domain::units::{ByteCount, DurationMs};

use super::Result;
use super::args::InspectArgs;
use crate::report::{self, Shown};
use crate::service;
use crate::service::inspect::{self, Details};

/// `stockade inspect`
pub fn inspect(args: &InspectArgs) -> Result {
    let details = service::block_on(inspect::inspect(&args.name))?;
    if args.json {
        report::json(&details)?;
    } else {
        report::out(&text(&details))?;
    }
    Ok(0)
}

/// One fact a line.
fn text(details: &Details) -> String {
    let mut text = String::new();
    for (name, value) in facts(details) {
        let _ = writeln!(text, "{name:<12}{}", Shown::new(&value)); // writing to a string cannot fail
    }
    text
}

fn facts(details: &Details) -> Vec<(&'static str, String)> {
    let sandbox = &details.sandbox;
    let mut facts = vec![
        ("name", sandbox.name.clone()),
        ("id", sandbox.id.clone()),
        ("driver", sandbox.driver.clone()),
        ("state", sandbox.state.name().to_owned()),
        ("age", report::age(sandbox.age_seconds)),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("exit", sandbox.exit.map(|exit| exit.code().to_string()));
    add("why", sandbox.why.clone());
    add(
        "command",
        (!sandbox.command.is_empty()).then(|| report::command_text(&sandbox.words())),
    );
    add(
        "workspace",
        sandbox.workspace.as_ref().map(|path| path.display().to_string()),
    );
    add("changes", details.change_set.clone());
    let labels: Vec<String> = sandbox
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    add("labels", (!labels.is_empty()).then(|| labels.join(", ")));
    add("supervisor", details.supervisor_pid.map(|pid| pid.to_string()));
    if let Some(usage) = &details.usage {
        add("cpu", usage.cpu_us.map(|us| DurationMs(us / 1000).to_string()));
        add(
            "memory",
            usage.memory_bytes.map(|bytes| ByteCount(bytes).to_string()),
        );
        add("processes", usage.pids.map(|pids| pids.to_string()));
    }
    let killed = details.oom_kills.filter(|count| *count > 0);
    add(
        "killed",
        killed.map(|count| format!("{} at the memory limit", report::processes(count))),
    );
    add("budget", details.budget.as_ref().map(report::budget_text));
    add(
        "notes",
        (!details.notes.is_empty()).then(|| details.notes.join("; ")),
    );
    if let Some(life) = &details.life {
        add(
            "verified",
            Some(format!("{} of {} controls", life.verified, life.controls)),
        );
        add(
            "shortfalls",
            (!life.shortfalls.is_empty()).then(|| life.shortfalls.join(", ")),
        );
        add("ttl", life.ttl_ms.map(|ms| DurationMs(ms).to_string()));
        add("idle", life.idle_ms.map(|ms| DurationMs(ms).to_string()));
    }
    add(
        "problems",
        // A remedy stands on a line of its own.
        (!details.problems.is_empty()).then(|| details.problems.join("; ").replace("\n    ", "; ")),
    );
    add("directory", Some(details.directory.display().to_string()));
    facts
}
