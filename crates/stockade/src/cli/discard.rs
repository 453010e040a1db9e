//! `stockade discard`.

use std::io::IsTerminal;

use super::args::DiscardArgs;
use super::{Result, ask};
use crate::failure::Failure;
use crate::report::{self, Shown};
use crate::service::apply;

/// The exit code if something that was asked for is still a pending change, or the answer was no.
const LEFT: i32 = 1;
/// Lines in a list for a person.
const MAX_LINES: usize = 20;

/// `stockade discard`
pub fn discard(args: &DiscardArgs) -> Result {
    let changes = args.changes.as_deref();
    if args.paths.is_empty() && !args.yes && !args.dry_run && !confirmed(args)? {
        return Ok(LEFT);
    }
    let done = apply::discard(changes, &args.paths, args.dry_run)?;
    if args.json {
        report::json(&done)?;
        return Ok(i32::from(!done.left.is_empty()) * LEFT);
    }
    let verb = if args.dry_run {
        "would discard"
    } else {
        "discarded"
    };
    let back = if args.dry_run || done.discarded.is_empty() {
        ""
    } else {
        " (`stockade undo` brings them back)"
    };
    report::note(&format!("{verb} {} changes{back}", done.discarded.len()));
    if !done.left.is_empty() {
        let names: Vec<String> = done
            .left
            .iter()
            .take(MAX_LINES)
            .map(|path| format!("\n  {}", Shown(path.as_os_str())))
            .collect();
        report::note(&format!(
            "{} are still there, because their directory was deleted or replaced as a whole:{}\n  fix: discard that \
             directory",
            done.left.len(),
            names.concat()
        ));
        return Ok(LEFT);
    }
    Ok(0)
}

/// Asks about everything; where nobody can be asked, somebody has to have said so.
fn confirmed(args: &DiscardArgs) -> std::result::Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::NothingToDiscard);
    }
    let all = apply::discard(args.changes.as_deref(), &[], true)?;
    if all.discarded.is_empty() {
        return Ok(true);
    }
    let sure = ask::yes_or_no(&format!("forget all {} changes?", all.discarded.len()))?;
    if !sure {
        report::note("nothing was changed");
    }
    Ok(sure)
}
