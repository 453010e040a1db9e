//! A plan as text: what is enforced by whom, what exists inside, how it is set up.

use std::fmt::Write;

use stockade_domain::spec::{Network, Spec, WorkspaceMode};
use stockade_domain::view::{Access, Content, ViewEntry};
use stockade_domain::{Bounds, Control, Level, Need, Plan, Planned, Support};

use super::{Paint, Shown, table};
use crate::service::auto::Choice;

/// The whole plan.
pub fn plan_text(plan: &Plan, choice: &Choice, steps: &[String], paint: Paint) -> String {
    let mut text = summary(plan, choice);
    section(&mut text, paint, "Controls");
    text.push_str(&table(
        paint,
        &["CONTROL", "VALUE", "NEED", "ENFORCED BY", "HOW", "ASKED BY"],
        plan.planned().iter().map(|planned| control_row(planned, paint)),
    ));
    section(&mut text, paint, "Files");
    text.push_str(&table(
        paint,
        &["PATH INSIDE", "WHAT", "SOURCE"],
        plan.spec()
            .view
            .entries
            .iter()
            .map(|entry| view_row(entry, plan.spec())),
    ));
    section(&mut text, paint, "Variables");
    for (name, value) in plan.spec().environment.iter() {
        let _ = writeln!(text, "{}={}", Shown::new(name), Shown::new(value));
    }
    section(&mut text, paint, "Set-up");
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{:3}. {}", index + 1, Shown::new(step));
    }
    text
}

pub(super) fn section(text: &mut String, paint: Paint, title: &str) {
    let _ = writeln!(text, "\n{}", paint.bold(title));
}

fn summary(plan: &Plan, choice: &Choice) -> String {
    let spec = plan.spec();
    let workspace = spec.workspace.as_ref().map_or("none".to_owned(), |workspace| {
        format!(
            "{}, {}",
            Shown(workspace.source.as_os_str()),
            workspace_mode(workspace.mode)
        )
    });
    let network = match spec.network {
        Network::None => "none",
        Network::Host => "the host's own: no protection",
    };
    let enforced = plan.enforced().count();
    format!(
        "Driver     {} (level: {})\nChosen     {}\nWorkspace  {workspace}\nNetwork    {network}\nControls   {enforced} of {} will be enforced\nNothing was created.\n",
        plan.driver(),
        level(plan.level()),
        choice_text(choice),
        plan.planned().len(),
    )
}

fn choice_text(choice: &Choice) -> String {
    let mut text = choice.why.clone();
    for one in &choice.passed_over {
        text.push_str(&format!("; not {}: {}", one.driver, one.why));
    }
    Shown::new(&text).to_string()
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Jail => "jail",
        Level::Container => "container",
        Level::Kernel => "kernel",
        Level::Vm => "vm",
        Level::Machine => "machine",
    }
}

fn workspace_mode(mode: WorkspaceMode) -> &'static str {
    match mode {
        WorkspaceMode::Cow => "copy-on-write",
        WorkspaceMode::Copy => "a private copy",
        WorkspaceMode::Ro => "read-only",
        WorkspaceMode::Rw => "writable: changes reach the host",
        WorkspaceMode::Live => "live: changes reach the host, but not what runs later there",
        WorkspaceMode::None => "none",
    }
}

fn control_row(planned: &Planned, paint: Paint) -> Vec<String> {
    let demand = &planned.demand;
    let need = match demand.need {
        Need::Require => "require",
        Need::Prefer => "prefer",
    };
    let (by, how) = match &planned.support {
        Support::Enforced {
            by,
            how,
            within: Bounds::Exact,
        } => (paint.green(&by.to_string()), how.clone()),
        Support::Enforced {
            by,
            how,
            within: Bounds::Overshoot(bounds),
        } => (paint.green(&by.to_string()), format!("{how} ({bounds})")),
        Support::Watched { by, how, overshoot } => (
            paint.yellow(&format!("watched by {by}")),
            format!("{how} ({overshoot})"),
        ),
        Support::Absent { why, fix: Some(fix) } => (paint.yellow("nobody"), format!("{why}; fix: {fix}")),
        Support::Absent { why, fix: None } => (paint.yellow("nobody"), why.clone()),
    };
    vec![
        demand.control.kind().name().to_owned(),
        value(&demand.control),
        need.to_owned(),
        by,
        Shown::new(&how).to_string(),
        Shown::new(&demand.origin.to_string()).to_string(),
    ]
}

pub(super) fn value(control: &Control) -> String {
    match control {
        Control::Wall(_) => String::new(),
        Control::Cpu(limit) => limit.to_string(),
        Control::Pids(count) => count.to_string(),
        Control::Memory(bytes)
        | Control::Disk(bytes)
        | Control::Output(bytes)
        | Control::BudgetMemory(bytes) => bytes.to_string(),
        Control::BudgetCpu(cpus) => cpus.to_string(),
        Control::WallTime(time) => time.to_string(),
    }
}

fn view_row(entry: &ViewEntry, spec: &Spec) -> Vec<String> {
    let (what, source) = match &entry.what {
        Content::Host { source, access, .. } => {
            let what = match access {
                Access::ReadOnly => "read-only",
                Access::ReadWrite => "writable, the host's own",
            };
            let same = *source == entry.at;
            (
                what.to_owned(),
                if same {
                    String::new()
                } else {
                    Shown(source.as_os_str()).to_string()
                },
            )
        }
        Content::Cache { .. } => (
            "cache, copy-on-write, kept for the project".to_owned(),
            String::new(),
        ),
        Content::Private { mode, .. } => (format!("private, in memory, mode {mode:04o}"), String::new()),
        Content::File { content } => (
            format!("generated, {} bytes, read-only", content.len()),
            String::new(),
        ),
        Content::Symlink { target } => ("link".to_owned(), Shown(target.as_os_str()).to_string()),
        Content::Proc => ("own processes".to_owned(), String::new()),
        Content::Devices => ("harmless devices".to_owned(), String::new()),
        Content::Workspace => {
            let workspace = spec.workspace.as_ref();
            let mode = workspace.map_or("", |workspace| workspace_mode(workspace.mode));
            (format!("workspace, {mode}"), String::new())
        }
    };
    vec![Shown(entry.at.as_os_str()).to_string(), what, source]
}
