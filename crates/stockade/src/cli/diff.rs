//! `stockade diff`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::Result;
use super::args::DiffArgs;
use super::pager::paged;
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service::diff::{self, Request, Reviewed};
use crate::terminal::Waiting;

/// `stockade diff [PATH…]`
pub fn diff(args: &DiffArgs) -> Result {
    let request = Request {
        changes: args.changes.clone(),
        paths: args.paths.clone(),
        ignored: args.ignored,
        history: args.html.is_some(),
    };
    let waiting = Waiting::begin("comparing the changes with the project", args.json);
    let reviewed = diff::review(&request)?;
    drop(waiting);
    let Some(reviewed) = reviewed else {
        return none(args);
    };
    if let Some(file) = &args.patch {
        patch(&reviewed, file)?;
    } else if let Some(file) = &args.html {
        write(file, report::review_page(&reviewed).as_bytes())?;
        report::note(&format!("wrote {}", Shown::new(file)));
    } else if args.json {
        report::json(&reviewed.as_json())?;
    } else {
        let text = |paint: Paint| match (args.stat, args.name_only) {
            (true, _) => report::diff_stat(&reviewed, paint),
            (_, true) => report::diff_names(&reviewed),
            (false, false) => report::diff_text(&reviewed, paint),
        };
        paged(&text(Paint::stdout()), args.no_pager)?;
    }
    warn(&reviewed);
    Ok(0)
}

/// Nothing to review is no mistake.
fn none(args: &DiffArgs) -> Result {
    if args.json {
        report::out("null\n")?;
    }
    report::note("no unapplied changes (`stockade changes` lists those of other projects)");
    Ok(0)
}

fn patch(reviewed: &Reviewed, file: &Path) -> std::result::Result<(), Failure> {
    let patch = reviewed.patch()?;
    write(file, &patch.bytes)?;
    for left in &patch.left {
        report::note(&format!(
            "not in the patch: {} ({})",
            Shown::new(&left.path),
            left.why
        ));
    }
    Ok(())
}

/// Writes a file, or standard output for `-`.
pub fn write(path: &Path, bytes: &[u8]) -> std::result::Result<(), Failure> {
    if path == Path::new("-") {
        std::io::stdout().lock().write_all(bytes)?;
        return Ok(());
    }
    let written = File::create(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|cause| Failure::write(path, cause))
}

/// What the reader has to know beside the changes.
fn warn(reviewed: &Reviewed) {
    let review = &reviewed.review;
    if reviewed.live {
        report::note("note: a sandbox uses these changes now: more may come");
    }
    for note in &reviewed.notes {
        report::note(&Shown::new(note).to_string());
    }
    if !reviewed.has_workspace {
        report::note("note: the project is gone or cannot be read: all changes look new");
    }
    for unread in &review.unread {
        report::note(&format!(
            "note: {} cannot be read: {}",
            Shown::new(&unread.path),
            unread.why
        ));
    }
    if review.truncated {
        report::note("note: there are more changes than are shown");
    }
}
