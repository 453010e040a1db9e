//! `stockade cp`.

use stockade_domain::units::ByteCount;
use stockade_host::copy::{Copied, Limits};

use super::args::CpArgs;
use super::{FAILED, Result};
use crate::failure::Failure;
use crate::report::{self, Shown};
use crate::service;
use crate::service::copy::{self, Place};
use crate::terminal::Waiting;

/// What was left out is told up to this.
const SHOWN: usize = 20;

/// `stockade cp`
pub fn copy(args: &CpArgs) -> Result {
    let limits = Limits {
        bytes: args.limit.0,
        ..Limits::default()
    };
    let waiting = Waiting::begin("copying", args.quiet || args.json);
    let copied = match (Place::parse(&args.from), Place::parse(&args.to)) {
        (Place::Inside { sandbox, path }, Place::Host(to)) => {
            service::block_on(copy::out(&sandbox, &path, &to, limits))?
        }
        (Place::Host(from), Place::Inside { sandbox, path }) => {
            service::block_on(copy::into(&from, &sandbox, &path, limits))?
        }
        _ => return Err(Failure::NotOneInside),
    };
    drop(waiting);
    if args.json {
        report::json(&copied)?;
    } else {
        tell(&copied, args.quiet);
    }
    Ok(if copied.refused == 0 { 0 } else { FAILED })
}

fn tell(copied: &Copied, quiet: bool) {
    for refusal in copied.refusals.iter().take(SHOWN) {
        let path = Shown(refusal.path.as_os_str());
        report::note(&format!("not copied: {path}: {}", Shown::new(&refusal.why)));
    }
    let more = copied.refused.saturating_sub(u64::try_from(SHOWN).unwrap_or(0));
    if more > 0 {
        report::note(&format!("not copied: {more} more"));
    }
    if !quiet {
        let links = if copied.links > 0 {
            format!(", {} links", copied.links)
        } else {
            String::new()
        };
        report::note(&format!(
            "copied {} files ({}), {} directories{links}",
            copied.files,
            ByteCount(copied.bytes),
            copied.directories
        ));
    }
}
