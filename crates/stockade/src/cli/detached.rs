//! `stockade run --detach` and `create`: one process starts another, which becomes the
//! supervisor, and tells what it said. The supervisor gets the same words after `shim`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::RawFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use stockade_host::logs::{DEFAULT_LOG_BYTES, MIN_LOG_BYTES};
use stockade_host::shim::{Life, RunEvent, ShimHandle, leave_terminal, let_streams_go};

use super::args::{CreateArgs, LifeArgs, RunArgs, SandboxArgs, TerminalArgs};
use super::run::{
    changes_wish, labels, open_status, outcome, prepare, report_failure, say_notes, say_standing,
    send_started, show,
};
use super::{FAILED, Result};
use crate::failure::Failure;
use crate::report::{self, Event, StatusFd};
use crate::service;
use crate::service::detached::{MAX_LINE, Up, supervisor};
use crate::service::run::{Front, Request, Standing, run as run_sandbox};
use crate::terminal::usual_size;

/// A detached sandbox, as it was asked for.
struct Wanted {
    command: Vec<OsString>,
    sandbox: SandboxArgs,
    terminal: TerminalArgs,
    quiet: bool,
}

impl From<RunArgs> for Wanted {
    fn from(args: RunArgs) -> Self {
        Self {
            command: args.command,
            sandbox: args.sandbox,
            terminal: args.terminal,
            quiet: args.quiet,
        }
    }
}

impl From<CreateArgs> for Wanted {
    fn from(args: CreateArgs) -> Self {
        Self {
            command: Vec::new(),
            sandbox: args.sandbox,
            terminal: TerminalArgs::default(),
            quiet: args.quiet,
        }
    }
}

/// Passes if no flag is given that only a detached sandbox can have.
pub fn check_foreground(life: &LifeArgs) -> std::result::Result<(), Failure> {
    let given = [
        ("--ttl", life.ttl.is_some()),
        ("--idle", life.idle.is_some()),
        ("--log-size", life.log_size.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::NeedsDetach(flag)),
        None => Ok(()),
    }
}

/// `stockade create`
pub fn create(args: &CreateArgs) -> Result {
    if args.sandbox.dry_run {
        return service::block_on(async { show(&prepare(&args.sandbox, &[]).await?, args.json) });
    }
    launch(args.json)
}

/// `stockade run --detach`, and what follows `shim`.
pub fn launch(json: bool) -> Result {
    let mut child = start()?;
    let mut line = String::new();
    if let Some(said) = child.stdout.take() {
        let _ = std::io::Read::take(BufReader::new(said), MAX_LINE).read_line(&mut line);
    }
    match serde_json::from_str::<Up>(&line) {
        Ok(up) if json => report::json(&up)?,
        Ok(up) => report::out(&format!("{}\n", report::Shown::new(&up.sandbox)))?,
        // It has said itself what failed.
        Err(_) => return ended(child),
    }
    Ok(0)
}

fn start() -> std::result::Result<Child, Failure> {
    supervisor(std::env::args_os().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::NoSupervisor)
}

fn ended(mut child: Child) -> Result {
    let status = child.wait().map_err(Failure::NoSupervisor)?;
    match status.code() {
        // Without a word it cannot have done what it should.
        Some(0) | None => Err(Failure::SupervisorEnded(status.to_string())),
        Some(code) => Ok(code),
    }
}

/// The supervisor of `stockade run --detach`.
pub fn supervise_run(args: RunArgs) -> Result {
    supervise(args.into())
}

/// The supervisor of `stockade create`.
pub fn supervise_create(args: CreateArgs) -> Result {
    supervise(args.into())
}

fn supervise(wanted: Wanted) -> Result {
    let kept: Vec<RawFd> = wanted
        .sandbox
        .status_fd
        .into_iter()
        .chain(wanted.sandbox.audit.audit_fd)
        .collect();
    leave_terminal(&kept)?;
    let status = open_status(&wanted.sandbox)?;
    let code = service::block_on(live(wanted, status.as_ref()));
    report_failure(code, status.as_ref())
}

async fn live(wanted: Wanted, status: Option<&StatusFd>) -> Result {
    let Wanted {
        command,
        sandbox,
        terminal,
        quiet,
    } = wanted;
    let life = life(&sandbox.life)?;
    let prepared = prepare(&sandbox, &command).await?;
    say_notes(&prepared, quiet);
    let request = Request {
        command,
        labels: labels(&sandbox.life),
        name: sandbox.life.name,
        // What nobody waits for is looked at later.
        keep: !sandbox.life.remove,
        discard_changes: sandbox.life.remove,
        changes: changes_wish(sandbox.change_set),
        tty: terminal.tty.then(usual_size),
        stdin: terminal.interactive || terminal.tty,
        screen: None,
        life: Some(life),
        readers: sandbox.audit.into(),
        over_link: sandbox.workspace_over_link,
        quiet,
    };
    let mut front = Detached {
        status,
        quiet,
        up: None,
    };
    let finished = run_sandbox(prepared, request, &mut front).await?;
    let outcome = outcome(&finished);
    if let Some(status) = status {
        status.send(&Event::Ended {
            outcome: &outcome,
            receipt: &finished.receipt,
        });
    }
    Ok(outcome.code)
}

fn life(args: &LifeArgs) -> std::result::Result<Life, Failure> {
    let log_bytes = args.log_size.map_or(DEFAULT_LOG_BYTES, |size| size.0);
    if log_bytes < MIN_LOG_BYTES {
        return Err(Failure::LogTooSmall(MIN_LOG_BYTES));
    }
    let time = |time: stockade_domain::units::DurationMs| Duration::from_millis(time.0);
    Ok(Life {
        ttl: args.ttl.map(time),
        idle: args.idle.map(time),
        log_bytes,
    })
}

/// The front of a sandbox that nobody looks at: its launcher, until it stands.
struct Detached<'a> {
    status: Option<&'a StatusFd>,
    quiet: bool,
    up: Option<(Up, ShimHandle)>,
}

impl Front for Detached<'_> {
    fn standing(&mut self, standing: &Standing<'_>) -> service::Result<()> {
        say_standing(standing, self.quiet);
        if let Some(status) = self.status {
            send_started(standing, status);
        }
        let up = Up {
            id: standing.id.to_owned(),
            sandbox: standing.name.to_owned(),
            driver: standing.driver.to_owned(),
            verified: standing.receipt.verified(),
            controls: standing.receipt.total(),
        };
        self.up = Some((up, standing.handle.clone()));
        Ok(())
    }

    fn event(&mut self, event: RunEvent) {
        if !matches!(event, RunEvent::Started { .. } | RunEvent::Waiting) {
            return;
        }
        if let Some((up, handle)) = self.up.take()
            && (tell(&up).is_err() || let_streams_go().is_err())
        {
            // Nobody knows of it.
            handle.stop(Duration::ZERO, "the command that started it is gone");
        }
    }
}

fn tell(up: &Up) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(up)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// A supervisor is not started by hand.
pub fn not_a_command() -> i32 {
    report::error("shim is for Stockade itself: use `stockade run --detach` or `stockade create`");
    FAILED
}
