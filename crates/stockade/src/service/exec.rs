//! A further command in a sandbox that another process supervises.

use std::ffi::OsString;
use std::path::PathBuf;

use stockade_domain::environment::Environment;
use stockade_host::control::ExecOutcome;
use stockade_host::session::Command;
use stockade_host::shim::screen::Rules;
use stockade_host::shim::{Io, WindowSize, run_exec};
use tokio::sync::mpsc;

use super::{Result, not_started, sandboxes};
use crate::terminal::Console;

/// The command.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Variables over those of the sandbox's first command.
    pub environment: Environment,
    /// Directory inside; that of the first command where there is none.
    pub workdir: Option<PathBuf>,
    /// A terminal of this size.
    pub tty: Option<WindowSize>,
    /// Whether input is forwarded.
    pub stdin: bool,
    /// What terminals may be sent; everything if there are no rules.
    pub screen: Option<Rules>,
}

/// Runs it, with this process's streams.
///
/// # Errors
/// There is no such sandbox, it has ended, or the command could not be started.
pub async fn exec(name: &str, request: Request, console: &mut Console) -> Result<ExecOutcome> {
    let client = sandboxes::connect(name).await?;
    let command = Command {
        argv: request.command,
        env: request.environment,
        cwd: request.workdir.unwrap_or_default(),
        tty: request.tty,
        stdin: request.stdin,
    };
    let (sender, told) = mpsc::unbounded_channel();
    console.follow(move |tell| {
        // Nobody listens any more when the command has ended.
        let _ = sender.send(tell);
    })?;
    console.enter()?;
    let io = Io::standard(request.stdin, request.screen);
    let outcome = run_exec(client, &command, io, told, |event| console.event(event)).await;
    Ok(outcome.map_err(|error| not_started::explain(error, |_| None))?)
}
