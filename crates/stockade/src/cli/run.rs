//! `stockade run`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use stockade_domain::units::DurationMs;
use stockade_host::shim::screen::Rules;
use stockade_host::shim::{RunEvent, Tell};
use stockade_host::state::ChangesWish;

use super::args::{AuditFlags, ChangeSetArgs, Label, LifeArgs, RunArgs, SandboxArgs, TerminalArgs};
use super::{FAILED, Result, detached, overrides};
use crate::failure::Failure;
use crate::report::{self, Event, Outcome, Paint, StatusFd};
use crate::service;
use crate::service::audit::Readers;
use crate::service::evidence::Destination;
use crate::service::plan::{self, Prepared};
use crate::service::run::{Finished, Front, Request, Standing, run as run_sandbox};
use crate::terminal::{Console, Wish};

/// `stockade run`
pub fn run(args: RunArgs) -> Result {
    detached::check_foreground(&args.sandbox.life)?;
    let status = open_status(&args.sandbox)?;
    let code = service::block_on(launch(args, status.as_ref()));
    report_failure(code, status.as_ref())
}

/// The caller's descriptor for events, if there is one.
pub fn open_status(args: &SandboxArgs) -> std::result::Result<Option<StatusFd>, Failure> {
    let open = |number| StatusFd::open(number).map_err(|cause| Failure::StatusFd { number, cause });
    args.status_fd.map(open).transpose()
}

/// The last event of what did not become a sandbox.
pub fn report_failure(code: Result, status: Option<&StatusFd>) -> Result {
    if let (Err(failure), Some(status)) = (&code, status) {
        let error = failure.to_string();
        status.send(&Event::Failed {
            code: failure.code(),
            error: &error,
            missing: failure.missing(),
        });
    }
    code
}

/// What would be built.
pub async fn prepare(args: &SandboxArgs, command: &[OsString]) -> service::Result<Prepared> {
    let mut launch = overrides::launch(&args.policy, &args.view, &args.limits)?;
    launch.probing = args.probing;
    let prepared = plan::prepare(launch).await;
    match prepared {
        // A mistyped flag is no refusal, and leaves nothing behind.
        Err(failure) if !args.dry_run && failure.is_refusal() => {
            if let Err(unwritten) = service::audit::refused(command, &failure) {
                report::note(&format!("the refusal could not be recorded: {unwritten}"));
            }
            Err(failure)
        }
        other => other,
    }
}

/// Says what the user should know of the file view.
pub fn say_notes(prepared: &Prepared, quiet: bool) {
    if !quiet {
        if let Some(note) = prepared.choice.note() {
            report::note(&format!("note: {note}"));
        }
        for note in &prepared.notes {
            report::note(&format!("note: {note}"));
        }
        if let Some(note) = &prepared.probed {
            report::note(&format!("note: {note}"));
        }
    }
}

/// Which changes of earlier runs are asked for.
pub fn changes_wish(args: ChangeSetArgs) -> ChangesWish {
    ChangesWish {
        name: args.changes,
        fresh: args.fresh,
    }
}

/// Says which preferred controls are not enforced, and which changes are found.
pub fn say_standing(standing: &Standing<'_>, quiet: bool) {
    if !quiet {
        standing
            .shortfalls
            .iter()
            .filter_map(|one| report::shortfall_line(one))
            .for_each(|line| report::note(&line));
        if let Some(found) = &standing.found {
            report::note(&report::found_line(found));
        }
    }
}

/// The first event of a sandbox.
pub fn send_started(standing: &Standing<'_>, status: &StatusFd) {
    status.send(&Event::Started {
        id: standing.id,
        sandbox: standing.name,
        driver: standing.driver,
        verified: standing.receipt.verified(),
        controls: standing.receipt.total(),
        shortfalls: standing.shortfalls.clone(),
    });
}

impl From<AuditFlags> for Readers {
    fn from(flags: AuditFlags) -> Self {
        Self {
            descriptor: flags.audit_fd,
            system_log: flags.audit_syslog,
        }
    }
}

/// Labels as the state keeps them; of two with one key the last counts.
pub fn labels(args: &LifeArgs) -> BTreeMap<String, String> {
    let pair = |label: &Label| (label.key.clone(), label.value.clone());
    args.labels.iter().map(pair).collect()
}

async fn launch(args: RunArgs, status: Option<&StatusFd>) -> Result {
    let prepared = prepare(&args.sandbox, &args.command).await?;
    if args.sandbox.dry_run {
        return show(&prepared, args.json);
    }
    say_notes(&prepared, args.quiet);
    let evidence = args.evidence.as_deref().map(Destination::open).transpose()?;
    let words: Vec<String> = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let console = Console::new(wish(args.terminal), args.terminal.interactive);
    let labels = labels(&args.sandbox.life);
    let request = Request {
        command: args.command,
        name: args.sandbox.life.name,
        keep: args.keep,
        discard_changes: args.sandbox.life.remove,
        changes: changes_wish(args.sandbox.change_set),
        tty: console.tty(),
        stdin: console.stdin(),
        screen: screen(args.terminal, console.tty().is_some()),
        labels,
        life: None,
        readers: Readers::from(args.sandbox.audit),
        over_link: args.sandbox.workspace_over_link,
        quiet: args.quiet || args.json,
    };
    let mut front = Terminal {
        console,
        status,
        quiet: args.quiet,
    };
    let finished = run_sandbox(prepared, request, &mut front).await;
    front.console.leave();
    let finished = finished?;
    let code = tell(&finished, status, args.quiet, args.json)?;
    if let Some(evidence) = evidence {
        evidence.write(&finished, &words)?;
    }
    Ok(code)
}

/// The plan and its steps.
pub fn show(prepared: &Prepared, json: bool) -> Result {
    let shown = prepared.shown()?;
    if json {
        report::json(&shown)?;
    } else {
        report::out(&report::plan_text(
            shown.plan,
            shown.choice,
            &shown.steps,
            Paint::stdout(),
        ))?;
        for note in shown.notes {
            report::note(&format!("note: {note}"));
        }
    }
    Ok(0)
}

/// What a terminal may be sent.
pub fn screen(args: TerminalArgs, has_terminal: bool) -> Option<Rules> {
    let rules = if has_terminal { Rules::Drawing } else { Rules::Text };
    (!args.raw_output).then_some(rules)
}

/// What the flags say of a terminal.
pub fn wish(args: TerminalArgs) -> Wish {
    match (args.tty, args.no_tty) {
        (true, _) => Wish::Pty,
        (_, true) => Wish::NoPty,
        (false, false) => Wish::Auto,
    }
}

/// The terminal that a run was started from.
struct Terminal<'a> {
    console: Console,
    status: Option<&'a StatusFd>,
    quiet: bool,
}

impl Front for Terminal<'_> {
    fn standing(&mut self, standing: &Standing<'_>) -> service::Result<()> {
        say_standing(standing, self.quiet);
        if let Some(status) = self.status {
            send_started(standing, status);
        }
        let handle = standing.handle.clone();
        self.console.follow(move |tell| match tell {
            Tell::Resize(size) => handle.resize(size),
            Tell::Signal(number) => handle.signal(number, true),
        })?;
        self.console.enter()?;
        Ok(())
    }

    fn asides(&self, urgent: bool) -> Option<fn(&str)> {
        (urgent || !self.quiet).then_some(report::aside)
    }

    fn event(&mut self, event: RunEvent) {
        self.console.event(event);
    }
}

/// The last line, and the last event.
fn tell(finished: &Finished, status: Option<&StatusFd>, quiet: bool, json: bool) -> Result {
    let outcome = outcome(finished);
    if let Some(status) = status {
        status.send(&Event::Ended {
            outcome: &outcome,
            receipt: &finished.receipt,
        });
    }
    let ended = &finished.outcome;
    ended
        .problems
        .iter()
        .for_each(|problem| report::note(&format!("note: {problem}")));
    // Whoever asked for quiet has to know this all the same.
    if let Some(why) = &ended.unrecorded {
        report::error(&report::unrecorded_line(&outcome, &why.to_string()));
    }
    if !ended.leftovers.is_empty() {
        let count = ended.leftovers.len();
        report::note(&format!(
            "note: not everything could be removed ({count}): run `stockade gc`"
        ));
    }
    if json {
        report::note_json(&outcome)?;
    } else if !quiet {
        report::note(&report::ended_line(&outcome));
    }
    Ok(outcome.code)
}

/// All that is told of an end.
pub fn outcome(finished: &Finished) -> Outcome {
    let ended = &finished.outcome;
    let recorded = ended.unrecorded.is_none();
    let duration_ms = u64::try_from(ended.duration.as_millis()).unwrap_or(u64::MAX);
    Outcome {
        sandbox: finished.sandbox.clone(),
        driver: finished.driver.to_owned(),
        verified: finished.receipt.verified(),
        controls: finished.receipt.total(),
        exit: ended.exit,
        why: ended.why.clone(),
        code: if recorded { ended.exit.code() } else { FAILED },
        recorded,
        duration: DurationMs(duration_ms),
        usage: ended.usage.unwrap_or_default(),
        limits: finished.plan.spec().limits.clone(),
        changes: ended.changes.as_ref().and_then(|changes| changes.counts),
        changes_truncated: ended.changes.as_ref().is_some_and(|changes| changes.truncated),
    }
}
