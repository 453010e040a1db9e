//! `stockade ls`, `stop` and `rm`.

use std::io::IsTerminal;
use std::time::Duration;

use serde::Serialize;
use stockade_domain::spec::Limits;

use super::args::{LsArgs, PauseArgs, ResumeArgs, RmArgs, StopArgs};
use super::{FAILED, Result};
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service::sandboxes::Stopped;
use crate::service::{self, sandboxes};

/// `stockade ls`
pub fn ls(args: &LsArgs) -> Result {
    let (mut all, unreadable) = sandboxes::list()?;
    all.retain(|sandbox| {
        args.labels
            .iter()
            .all(|label| sandbox.has(&label.key, label.value.as_deref()))
    });
    if args.json {
        report::json(&all)?;
    } else if args.quiet {
        report::out(
            &all.iter()
                .map(|sandbox| format!("{}\n", Shown::new(&sandbox.name)))
                .collect::<String>(),
        )?;
    } else if all.is_empty() {
        report::note("no sandboxes");
    } else {
        let heading = ["NAME", "DRIVER", "STATE", "AGE", "WORKSPACE", "COMMAND"];
        report::out(&report::table(Paint::stdout(), &heading, all.iter().map(row)))?;
        if std::io::stdout().is_terminal()
            && let Some(shared) = sandboxes::budget(&all)?
        {
            report::note(&report::budget_text(&shared));
        }
    }
    for problem in &unreadable {
        report::error(&problem.to_string());
    }
    Ok(if unreadable.is_empty() { 0 } else { FAILED })
}

fn row(sandbox: &sandboxes::Sandbox) -> Vec<String> {
    let workspace = sandbox
        .workspace
        .as_ref()
        .map(|path| Shown(path.as_os_str()).to_string());
    vec![
        Shown::new(&sandbox.name).to_string(),
        Shown::new(&sandbox.driver).to_string(),
        state(sandbox),
        report::age(sandbox.age_seconds),
        workspace.unwrap_or_else(|| "none".to_owned()),
        report::shorten(&report::command_text(&sandbox.words()), 60),
    ]
}

/// With the exit code of what ended, and a mark on what runs over files that the host has changed.
fn state(sandbox: &sandboxes::Sandbox) -> String {
    match sandbox.exit {
        Some(exit) => format!("{} ({})", sandbox.state.name(), exit.code()),
        None if sandbox.host_changed.is_some() => format!("{} (host changed)", sandbox.state.name()),
        None => sandbox.state.name().to_owned(),
    }
}

/// `stockade stop`
pub fn stop(args: &StopArgs) -> Result {
    let grace = Duration::from_millis(args.grace.0);
    each(&args.names, args.json, |name| {
        Ok(stopped(service::block_on(sandboxes::stop(name, grace))?))
    })
}

fn stopped(how: Stopped) -> String {
    match how {
        Stopped::Now => "stopped".to_owned(),
        Stopped::Before(Some(exit)) => {
            format!(
                "had already ended ({})",
                report::exit_clause(&exit, &Limits::default())
            )
        }
        Stopped::Before(None) => "had already ended (its command did not start)".to_owned(),
        Stopped::Lost => "had already ended (its supervisor was killed): see `stockade gc`".to_owned(),
    }
}

/// `stockade pause`
pub fn pause(args: &PauseArgs) -> Result {
    each(&args.names, args.json, |name| {
        service::block_on(sandboxes::pause(name, true))?;
        Ok("paused".to_owned())
    })
}

/// `stockade resume`
pub fn resume(args: &ResumeArgs) -> Result {
    each(&args.names, args.json, |name| {
        service::block_on(sandboxes::pause(name, false))?;
        Ok("resumed".to_owned())
    })
}

/// `stockade rm`
pub fn rm(args: &RmArgs) -> Result {
    each(&args.names, args.json, |name| {
        service::block_on(sandboxes::remove(name, args.force))?;
        Ok("removed".to_owned())
    })
}

/// What became of one of several sandboxes.
#[derive(Serialize)]
struct Done<'a> {
    sandbox: &'a str,
    done: bool,
    /// What was done, or that nothing was left to do.
    what: Option<String>,
    error: Option<String>,
}

/// Does something to each sandbox. One that fails does not keep the others from it.
fn each(names: &[String], json: bool, mut act: impl FnMut(&str) -> service::Result<String>) -> Result {
    let mut results = Vec::with_capacity(names.len());
    for name in names {
        let result = act(name);
        match &result {
            Err(failure) => _ = super::tell(failure),
            Ok(what) if !json => report::note(&format!("{}: {what}", Shown::new(name))),
            Ok(_) => {}
        }
        results.push(Done {
            sandbox: name,
            done: result.is_ok(),
            error: result.as_ref().err().map(Failure::to_string),
            what: result.ok(),
        });
    }
    if json {
        report::json(&results)?;
    }
    Ok(if results.iter().all(|result| result.done) {
        0
    } else {
        FAILED
    })
}
