//! What evidence says, for a person.

use std::fmt::Write;

use serde::Serialize;
use stockade_host::audit::utc;
use stockade_host::evidence::{Run, Statement};

use super::plan::level;
use super::{Paint, Shown};
use crate::service::evidence::Verified;

/// What evidence says, as JSON.
#[derive(Serialize)]
pub struct EvidenceJson<'a> {
    /// Everything that was required is so.
    met: bool,
    /// What is not.
    unmet: Vec<UnmetJson>,
    /// The key that signed it.
    key: &'a str,
    /// What it says.
    statement: &'a Statement,
}

#[derive(Serialize)]
struct UnmetJson {
    required: String,
    found: String,
}

/// What evidence says, as JSON.
pub fn evidence_json(verified: &Verified) -> EvidenceJson<'_> {
    let unmet = verified.unmet.iter().map(|unmet| UnmetJson {
        required: unmet.demand.to_string(),
        found: unmet.found.clone(),
    });
    EvidenceJson {
        met: verified.unmet.is_empty(),
        unmet: unmet.collect(),
        key: &verified.key,
        statement: &verified.statement,
    }
}

/// What it says in some lines, and what of the requirements is not so.
pub fn evidence_text(verified: &Verified, paint: Paint) -> String {
    let run = &verified.statement.predicate;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: signed by {}",
        paint.bold("genuine"),
        verified.key.get(..16).unwrap_or(&verified.key)
    );
    for (name, value) in rows(run) {
        let _ = writeln!(text, "  {name:<9} {}", Shown::new(&value));
    }
    for unmet in &verified.unmet {
        let line = format!("required {}, but {}", unmet.demand, Shown::new(&unmet.found));
        let _ = writeln!(text, "{}", paint.red(&line));
    }
    text
}

fn rows(run: &Run) -> Vec<(&'static str, String)> {
    let changes = run.changes.as_ref().map_or_else(
        || "none that are kept apart".to_owned(),
        |changes| format!("{} paths, {}", changes.digest.paths, changes.digest.sha256),
    );
    let probes = match &run.probes {
        Some(probes) if probes.held => format!("held at {}", utc(probes.at_ms)),
        Some(probes) => format!("did NOT hold at {}", utc(probes.at_ms)),
        None => "nothing is known".to_owned(),
    };
    let mut rows = vec![
        ("command", run.command.join(" ")),
        (
            "ended",
            format!("{}, exit code {}", utc(run.ended_at_ms), run.ending.code()),
        ),
        (
            "wall",
            format!(
                "{} ({}), {} controls verified",
                run.driver,
                level(run.level),
                run.controls.len()
            ),
        ),
        ("changes", changes),
        ("policy", run.policy.sha256.clone()),
        ("probes", probes),
        (
            "stockade",
            format!("{}, {}", run.stockade.version, run.stockade.sha256),
        ),
        ("host", run.host.kernel.clone()),
    ];
    let absent = run.not_enforced.iter();
    rows.extend(absent.map(|(kind, why)| ("without", format!("{kind}: {why}"))));
    rows
}
