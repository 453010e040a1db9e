//! `stockade setup`.

use std::fmt::Write;
use std::io::IsTerminal;

use super::args::SetupArgs;
use super::{FAILED, Result};
use crate::failure::Failure;
use crate::report::{self, Shown};
use crate::service::setup::{Done, Outcome, Survey};
use crate::service::{self, setup};

/// `stockade setup`
pub fn setup(args: &SetupArgs) -> Result {
    if args.undo {
        return undo(args);
    }
    let found = setup::survey(&args.root, args.program.clone(), args.sysctl)?;
    if args.json && (args.dry_run || found.changes.is_empty()) {
        report::json(&found)?;
    } else if !args.json {
        report::out(&shown(&found))?;
        found
            .notes
            .iter()
            .for_each(|note| report::note(&format!("note: {note}")));
    }
    if args.dry_run || found.changes.is_empty() {
        return Ok(0);
    }
    allowed(args)?;
    if !args.yes && !agreed("Write this?")? {
        report::note("nothing was written");
        return Ok(0);
    }
    let root = args.root.clone();
    told(
        &service::block_on(async move { setup::apply(&root, &found).await })?,
        args.json,
    )
}

fn undo(args: &SetupArgs) -> Result {
    if args.dry_run {
        report::note(
            "--undo takes back what /var/lib/stockade/setup.json lists, where nobody changed it since",
        );
        return Ok(0);
    }
    allowed(args)?;
    if !args.yes && !agreed("Take back what setup wrote?")? {
        report::note("nothing was taken back");
        return Ok(0);
    }
    let done = service::block_on(setup::undo(&args.root))?;
    if done.is_empty() && !args.json {
        report::out("there is nothing to take back\n")?;
    }
    told(&done, args.json)
}

fn allowed(args: &SetupArgs) -> std::result::Result<(), Failure> {
    if setup::may_write(&args.root) {
        Ok(())
    } else {
        Err(Failure::NeedsRoot)
    }
}

/// Asks on the terminal; nobody to ask is no yes.
fn agreed(question: &str) -> std::result::Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::NobodyToAsk);
    }
    report::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn shown(found: &Survey) -> String {
    if found.changes.is_empty() {
        return "nothing needs to be changed\n".to_owned();
    }
    let mut text = String::new();
    for change in &found.changes {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {}",
            Shown(change.path.as_os_str()),
            Shown::new(&change.why)
        );
        for line in change.content.lines() {
            let _ = writeln!(text, "    {}", Shown::new(line));
        }
        if let Some(step) = &change.activate {
            let _ = writeln!(text, "  then: {}", Shown::new(&step.to_string()));
        }
    }
    text
}

fn told(done: &[Done], json: bool) -> Result {
    let is_well = |one: &Done| !matches!(one.outcome, Outcome::Foreign | Outcome::Failed { .. });
    if json {
        report::json(&done)?;
    } else {
        for one in done {
            let outcome = match &one.outcome {
                Outcome::Written => "written".to_owned(),
                Outcome::Already => "was so already".to_owned(),
                Outcome::Restored => "is as it was before".to_owned(),
                Outcome::Foreign => {
                    "was written by somebody else, and left as it is\n    fix: compare it with `stockade setup --dry-run`, move it away and try again".to_owned()
                }
                Outcome::Failed { why } => format!("the system did not go along: {why}\n    fix: mend that and try again"),
            };
            let line = format!("{}: {outcome}", Shown(one.path.as_os_str()));
            if is_well(one) {
                report::out(&format!("{line}\n"))?;
            } else {
                report::error(&line);
            }
        }
    }
    Ok(if done.iter().all(is_well) { 0 } else { FAILED })
}
