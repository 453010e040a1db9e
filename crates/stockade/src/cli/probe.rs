//! `stockade probe`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::args::ProbeArgs;
use super::{Result, diff};
use crate::report::{self, Paint, Shown};
use crate::service;
use crate::service::probe::{self, Told};
use crate::terminal::Waiting;

/// The exit code where a protection that is claimed did not hold.
const DIFFERS: i32 = 1;

/// Whether standard output holds something else than the text.
fn fills_output(args: &ProbeArgs) -> bool {
    let is_output = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    is_output(&args.sarif) || is_output(&args.html)
}

/// `stockade probe`
pub fn probe(args: &ProbeArgs) -> Result {
    if args.claims {
        return claims(args.json);
    }
    let chosen = probe::Chosen::new(&args.driver, &args.category, &args.id, args.reprobe)?;
    if args.list {
        report::out(&report::probes_text(
            &chosen.list(),
            &chosen.looks(),
            Paint::stdout(),
        ))?;
        return Ok(0);
    }
    let made = {
        let waiting = Waiting::begin("probing", args.json);
        let notes = RefCell::new(Vec::new());
        let made = service::block_on(probe::probe(&chosen, &|told| match told {
            Told::Doing(what) => waiting.tell(what),
            Told::Note(note) => notes.borrow_mut().push(format!("note: {note}")),
        }));
        drop(waiting);
        notes.into_inner().iter().for_each(|note| report::note(note));
        made?
    };
    if let Some(path) = &args.html {
        diff::write(path, report::probe_page(&made).as_bytes())?;
        report::note(&format!("wrote {}", Shown::new(path)));
    }
    if let Some(path) = &args.sarif {
        let mut log = serde_json::to_vec_pretty(&report::sarif(&made)).map_err(std::io::Error::from)?;
        log.push(b'\n');
        diff::write(path, &log)?;
    }
    if args.json {
        report::json(&made)?;
    } else if !fills_output(args) {
        report::out(&report::probe_text(&made, args.verbose, Paint::stdout()))?;
    }
    Ok(if made.differs() { DIFFERS } else { 0 })
}

/// `stockade probe --claims`
fn claims(json: bool) -> Result {
    let shown = {
        let waiting = Waiting::begin("showing what is said of sandboxes", json);
        probe::claims::claims(&|what| waiting.tell(what))?
    };
    if json {
        report::json(&shown)?;
    } else {
        report::out(&report::claims_text(&shown, Paint::stdout()))?;
    }
    Ok(0)
}
