//! Stockade's own policies: what in them weakens the default.

use serde::Serialize;
use stockade_domain::demand::{Need, Origin};
use stockade_domain::environment::Variable;
use stockade_domain::policy::{Clause, FileAccess, Layer, parse_bytes};
use stockade_domain::units::Limit;

use crate::error::LintError;
use crate::gather::tidy_path;
use crate::model::{Document, Format, Key, Kind, Workload};
use crate::node::Where;
use crate::secrets;

/// Reads a policy; one with a mistake is refused, as `run` would refuse it.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Document, LintError> {
    let layer = parse_bytes(bytes, name)?;
    let start = Where {
        file: name.to_owned(),
        line: Some(1),
        column: Some(1),
        path: String::new(),
    };
    let mut policy = Workload::new(Kind::Policy, "policy".to_owned(), start);
    clauses(&layer, &mut policy);
    paths(&layer, &mut policy);
    for variable in &layer.variables {
        let at = place(&variable.origin, "environment");
        match &variable.value {
            Variable::Pass(pattern) => secrets::add_variable(&mut policy, pattern, None, true, &at),
            Variable::Set { name, value } => secrets::add_variable(&mut policy, name, Some(value), true, &at),
        }
    }
    let mut notes = Vec::new();
    if let Some(preset) = &layer.preset {
        notes.push(format!(
            "{name}: the preset {} lies below it and is not looked at here (`stockade policy explain` shows the whole)",
            preset.value
        ));
    }
    Ok(Document {
        name: name.to_owned(),
        format: Format::Policy,
        workloads: vec![policy],
        unknown: Vec::new(),
        notes,
    })
}

fn clauses(layer: &Layer, policy: &mut Workload) {
    let mut add = |name: &str, value: Option<(String, &Origin)>| {
        if let Some((value, origin)) = value {
            let shown = format!("{name} = {value}");
            policy.add(
                Key::Clause,
                format!("{name}={value}"),
                shown,
                true,
                place(origin, name),
            );
        }
    };
    add(
        "driver",
        layer.driver.as_ref().map(|one| (one.value.clone(), &one.origin)),
    );
    add("workspace.mode", layer.workspace_mode.as_ref().and_then(word));
    add("network.mode", layer.network.as_ref().and_then(word));
    add("limits.memory", layer.memory.as_ref().and_then(lifted));
    add("limits.pids", layer.pids.as_ref().and_then(lifted));
    add("budget.memory", layer.budget_memory.as_ref().and_then(lifted));
    add("budget.cpus", layer.budget_cpus.as_ref().and_then(lifted));
    let nested = layer.nested_namespaces.as_ref();
    add(
        "sandbox.nested-namespaces",
        nested.map(|one| (one.value.to_string(), &one.origin)),
    );
    for need in &layer.needs {
        let (kind, wanted) = need.value;
        if wanted == Need::Prefer {
            add("need.prefer", Some((kind.to_string(), &need.origin)));
        }
    }
}

/// A value as a policy writes it.
fn word<T: Serialize>(clause: &Clause<T>) -> Option<(String, &Origin)> {
    let value = serde_json::to_value(&clause.value).ok()?;
    Some((value.as_str()?.to_owned(), &clause.origin))
}

fn lifted<T>(clause: &Clause<Limit<T>>) -> Option<(String, &Origin)> {
    matches!(clause.value, Limit::Off).then(|| ("none".to_owned(), &clause.origin))
}

fn paths(layer: &Layer, policy: &mut Workload) {
    for rule in &layer.files {
        let (key, list) = match rule.value.access {
            FileAccess::ReadOnly => (Key::MountReadOnly, "files.ro"),
            FileAccess::ReadWrite => (Key::MountWritable, "files.rw"),
            FileAccess::Hide => continue,
        };
        let written = &rule.value.path;
        let path = written
            .strip_prefix("$HOME")
            .map_or_else(|| written.clone(), |rest| format!("~{rest}"));
        policy.add(
            key,
            tidy_path(&path),
            written.clone(),
            true,
            place(&rule.origin, list),
        );
    }
}

fn place(origin: &Origin, path: &str) -> Where {
    let path = path.to_owned();
    match origin {
        Origin::File {
            path: file,
            line,
            column,
        } => Where {
            file: file.clone(),
            line: Some(*line),
            column: Some(*column),
            path,
        },
        other => Where {
            file: other.to_string(),
            path,
            ..Where::default()
        },
    }
}
