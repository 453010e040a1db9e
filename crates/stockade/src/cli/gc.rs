//! `stockade gc`.

use super::args::GcArgs;
use super::{FAILED, Result};
use crate::report::{self, Shown};
use crate::service::{self, garbage};
use crate::terminal::Waiting;

/// `stockade gc`
pub fn gc(args: &GcArgs) -> Result {
    let waiting = Waiting::begin("looking for what was left behind", args.json);
    let found = service::block_on(garbage::collect(args.dry_run, args.all))?;
    drop(waiting);
    if args.json {
        report::json(&found)?;
    } else {
        report::out(&summary(&found, args.dry_run))?;
    }
    for problem in &found.problems {
        report::note(&format!("{}", Shown::new(problem)));
    }
    Ok(if found.problems.is_empty() { 0 } else { FAILED })
}

fn summary(found: &garbage::Report, dry_run: bool) -> String {
    let verb = if dry_run { "would be removed" } else { "removed" };
    let mut text = String::new();
    for id in &found.dead {
        text.push_str(&format!("{}: its supervisor was killed\n", Shown::new(id)));
    }
    for leftover in &found.reaped {
        let kind = format!("{:?}", leftover.kind).to_lowercase();
        text.push_str(&format!("{verb}: {kind} of {}\n", Shown::new(&leftover.id)));
    }
    for key in &found.lost_changes {
        text.push_str(&format!(
            "changes lost: {}: the copy of the workspace was removed before they were taken out\n",
            Shown::new(key)
        ));
    }
    for key in &found.kept_changes {
        text.push_str(&format!("changes kept: {} (stockade changes)\n", Shown::new(key)));
    }
    if found.restored_projects > 0 {
        let verb = if dry_run {
            "would be brought back"
        } else {
            "brought back"
        };
        let count = found.restored_projects;
        text.push_str(&format!(
            "{verb}: {count} projects that a killed apply or undo left half changed\n"
        ));
    }
    if text.is_empty() && found.problems.is_empty() {
        text.push_str("nothing was left behind\n");
    }
    if found.unfinished {
        text.push_str("not everything was looked at in time: run it again\n");
    }
    text
}
