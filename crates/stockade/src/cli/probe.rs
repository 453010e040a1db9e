//! `stockade probe`.

use std::cell::RefCell;

use super::Result;
use super::args::ProbeArgs;
use crate::report::{self, Paint};
use crate::service;
use crate::service::probe::{self, Told};
use crate::terminal::Waiting;

/// The exit code where a protection that is claimed did not hold.
const DIFFERS: i32 = 1;

/// `stockade probe`
pub fn probe(args: &ProbeArgs) -> Result {
    let chosen = probe::Chosen::new(&args.driver, &args.category, &args.id, args.reprobe)?;
    if args.list {
        report::out(&report::probes_text(&chosen.list(), Paint::stdout()))?;
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
    if args.json {
        report::json(&made)?;
    } else {
        report::out(&report::probe_text(&made, args.verbose, Paint::stdout()))?;
    }
    Ok(if made.differs() { DIFFERS } else { 0 })
}
