//! `stockade probe`.

use super::Result;
use super::args::ProbeArgs;
use crate::report::{self, Paint};
use crate::service::{self, probe};
use crate::terminal::Waiting;

/// The exit code where a protection that is claimed did not hold.
const DIFFERS: i32 = 1;

/// `stockade probe`
pub fn probe(args: &ProbeArgs) -> Result {
    let chosen = probe::Chosen::new(&args.driver, &args.category, &args.id)?;
    if args.list {
        report::out(&report::probes_text(&chosen.list(), Paint::stdout()))?;
        return Ok(0);
    }
    let made = {
        let waiting = Waiting::begin("probing", args.json);
        service::block_on(probe::probe(&chosen, &|what| waiting.tell(what)))?
    };
    if args.json {
        report::json(&made)?;
    } else {
        report::out(&report::probe_text(&made, args.verbose, Paint::stdout()))?;
    }
    Ok(if made.differs() { DIFFERS } else { 0 })
}
