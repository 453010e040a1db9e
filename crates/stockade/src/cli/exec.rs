//! `stockade exec`.

use std::ffi::OsString;

use serde::Serialize;
use stockade_domain::Exit;
use stockade_domain::environment::{Environment, Variable};
use stockade_domain::spec::Limits;

use super::Result;
use super::args::ExecArgs;
use super::run::{screen, wish};
use crate::report;
use crate::service::{self, exec};
use crate::terminal::Console;

/// How a further command ended.
#[derive(Serialize)]
struct Ended<'a> {
    sandbox: &'a str,
    #[serde(flatten)]
    exit: Exit,
    code: i32,
    /// Processes of the sandbox that were killed at the memory limit meanwhile.
    oom_kills: Option<u64>,
    duration_ms: u128,
}

/// `stockade exec`
pub fn exec(args: ExecArgs) -> Result {
    service::block_on(launch(args))
}

async fn launch(args: ExecArgs) -> Result {
    let mut console = Console::new(wish(args.terminal), args.terminal.interactive);
    let request = exec::Request {
        command: args.command,
        environment: environment(&args.env),
        workdir: args.workdir,
        tty: console.tty(),
        stdin: console.stdin(),
        screen: screen(args.terminal, console.tty().is_some()),
    };
    let ended = exec::exec(&args.name, request, &mut console).await;
    console.leave();
    let ended = ended?;
    let code = ended.exit.code();
    if args.json {
        let duration_ms = ended.duration.as_millis();
        report::note_json(&Ended {
            sandbox: &args.name,
            exit: ended.exit,
            code,
            oom_kills: ended.oom_kills,
            duration_ms,
        })?;
    } else if !args.quiet {
        let limits = Limits::default();
        if !matches!(ended.exit, Exit::Code(_)) {
            report::note(&report::exit_clause(&ended.exit, &limits));
        }
        if let Some(clause) = report::kills_clause(&ended.exit, ended.oom_kills, &limits) {
            report::note(&clause);
        }
    }
    Ok(code)
}

fn environment(variables: &[Variable]) -> Environment {
    let mut environment = Environment::default();
    // A variable that is not UTF-8 cannot be named in a policy, nor passed on.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let host: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
    environment.apply(variables, &host);
    environment
}
