//! `stockade attach`.

use serde::Serialize;
use stockade_domain::Exit;
use stockade_domain::spec::Limits;
use stockade_host::shim::AttachEnd;

use super::Result;
use super::args::AttachArgs;
use crate::report::{self, Shown};
use crate::service::{self, attach};

/// How being attached ended.
#[derive(Serialize)]
struct Ended<'a> {
    sandbox: &'a str,
    detached: bool,
    offset: Option<u64>,
    #[serde(flatten)]
    exit: Option<Exit>,
    code: i32,
}

/// `stockade attach`
pub fn attach(args: AttachArgs) -> Result {
    let request = attach::Request {
        write: !args.read_only,
        from: args.from,
        keys: args.detach_keys,
        raw: args.raw_output,
    };
    let end = service::block_on(attach::attach(&args.name, request))?;
    let (exit, offset) = match end {
        AttachEnd::Exited(exit) => (Some(exit), None),
        AttachEnd::Detached { offset } => (None, Some(offset)),
    };
    let code = exit.map_or(0, |exit| exit.code());
    if args.json {
        report::note_json(&Ended {
            sandbox: &args.name,
            detached: exit.is_none(),
            offset,
            exit,
            code,
        })?;
    } else if !args.quiet {
        say(&args.name, exit, offset);
    }
    Ok(code)
}

fn say(name: &str, exit: Option<Exit>, offset: Option<u64>) {
    let name = Shown::new(name);
    match (exit, offset) {
        (Some(Exit::Code(_)), _) | (None, None) => {}
        (Some(exit), _) => report::note(&report::exit_clause(&exit, &Limits::default())),
        (None, Some(offset)) => {
            report::note(&format!(
                "detached, {name} goes on: stockade attach --from {offset} {name}"
            ));
        }
    }
}
