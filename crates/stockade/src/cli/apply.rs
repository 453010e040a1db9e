//! `stockade apply` and `stockade undo`.

use std::fmt::Write;
use std::io::IsTerminal;

use serde::Serialize;
use stockade_host::workspace::{Applied, Change, Decision, GitDone, Merges, NodeKind, lossless};

use super::args::{ApplyArgs, ConflictArg, UndoArgs};
use super::{Result, ask};
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service::apply::{self, Held, OnConflict, Open, Request};
use crate::service::commits::{self, Preview, Refused};
use crate::terminal::Waiting;

/// The exit code if something that was asked for is still a pending change.
const HELD_BACK: i32 = 1;
/// Lines in a list for a person.
const MAX_LINES: usize = 50;
/// Conflicts that are shown from three sides.
const MAX_SHOWN: usize = 20;

/// `stockade apply`
pub fn apply(args: &ApplyArgs) -> Result {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let is_decided = args.safe || args.all || !args.paths.is_empty() || args.dry_run;
    if !can_ask && (args.interactive || !is_decided) {
        return Err(Failure::NothingChosen);
    }
    let waiting = Waiting::begin("comparing the changes with the project", args.json);
    let mut open = apply::open(&request(args))?;
    drop(waiting);
    if !args.json && (args.interactive || !is_decided) {
        if open.questions().next().is_none() && open.repositories().is_empty() {
            report::note("nothing to apply");
            return Ok(0);
        }
        let go_on = if args.interactive {
            ask::each(&mut open)?
        } else {
            ask::summary(&mut open)?
        };
        if !go_on {
            report::note("nothing was changed");
            return Ok(HELD_BACK);
        }
    }
    let preview = open.commits();
    let refused = args.safe && (open.holds_back() || preview.needs_a_look());
    let needs_more = open.holds_back() || open.marked().next().is_some();
    let held = |beside: bool| i32::from(needs_more || beside || !preview.refused.is_empty()) * HELD_BACK;
    if args.dry_run || refused {
        tell(&open, None, &preview, refused, args)?;
        return Ok(held(refused || commits::is_beside(&preview.done)));
    }
    let waiting = Waiting::begin("applying", args.json);
    let mut applied = open.apply(&preview)?;
    drop(waiting);
    let told = Preview {
        done: std::mem::take(&mut applied.git),
        refused: preview.refused.clone(),
    };
    tell(&open, Some(&applied), &told, false, args)?;
    Ok(held(commits::is_beside(&told.done)))
}

fn request(args: &ApplyArgs) -> Request {
    Request {
        changes: args.changes.clone(),
        paths: args.paths.clone(),
        ignored: args.ignored,
        risky: args.all,
        conflicts: match args.conflicts {
            ConflictArg::Leave => OnConflict::Leave,
            ConflictArg::Host => OnConflict::Host,
            ConflictArg::Sandbox => OnConflict::Sandbox,
            ConflictArg::Beside => OnConflict::Beside,
            ConflictArg::Merge => OnConflict::Merge,
            ConflictArg::Mark => OnConflict::Mark,
        },
    }
}

/// As JSON: a path with what becomes of it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    change: &'a Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<&'a Held>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    project: String,
    dry_run: bool,
    #[serde(flatten)]
    applied: Option<&'a Applied>,
    changes: Vec<Told<'a>>,
    held: Vec<Told<'a>>,
    conflicts: Vec<ConflictTold>,
    git: &'a [GitDone],
    git_refused: &'a [Refused],
}

/// As JSON: a conflict that is not decided.
#[derive(Serialize)]
struct ConflictTold {
    path: String,
    #[serde(flatten)]
    merges: Merges,
}

fn conflicts_told(open: &Open) -> Vec<ConflictTold> {
    let told = open.open_conflicts().map(|(change, three)| ConflictTold {
        path: lossless(change.path.as_os_str()),
        merges: three.merges(),
    });
    told.collect()
}

fn tell(
    open: &Open,
    applied: Option<&Applied>,
    git: &Preview,
    refused: bool,
    args: &ApplyArgs,
) -> std::io::Result<()> {
    if args.json {
        let changes = open.planned().map(|(change, decision)| Told {
            change,
            decision: Some(decision),
            held: None,
        });
        let held = open.held().map(|(change, held)| Told {
            change,
            decision: None,
            held: Some(held),
        });
        return report::json(&Outcome {
            project: Shown(open.project().as_os_str()).to_string(),
            dry_run: args.dry_run,
            applied,
            changes: if refused { Vec::new() } else { changes.collect() },
            held: held.collect(),
            conflicts: conflicts_told(open),
            git: &git.done,
            git_refused: &git.refused,
        });
    }
    if args.dry_run {
        report::out(&planned(open))?;
    }
    let what = match applied {
        _ if refused => "nothing was applied: not everything is safe".to_owned(),
        None if open.to_apply() == 0 && !git.done.is_empty() => "would take over the commits".to_owned(),
        None => format!("would apply {}", count(open.to_apply() as u64)),
        Some(applied) if applied.number.is_some() && applied.applied == 0 && !git.done.is_empty() => {
            "took over the commits (`stockade undo` takes it back)".to_owned()
        }
        Some(applied) if applied.number.is_none() => "nothing to apply".to_owned(),
        Some(applied) => format!(
            "applied {} (`stockade undo` takes it back)",
            count(applied.applied)
        ),
    };
    report::note(&what);
    let lines = report::taken_lines(&git.done, &git.refused);
    if !lines.is_empty() {
        report::note(&format!("in git:\n{}", lines.join("\n")));
    }
    for (change, three) in open.open_conflicts().take(MAX_SHOWN) {
        let text = report::three_way_text(&change.path, &three, Paint::stderr());
        report::note(text.trim_end());
    }
    for (change, places) in open.marked() {
        let path = Shown(change.path.as_os_str());
        report::note(&match places {
            1 => format!("{path} has conflict markers in 1 place: choose there"),
            places => format!("{path} has conflict markers in {places} places: choose there"),
        });
    }
    let held = held_lines(open);
    if !held.is_empty() {
        report::note(&held);
    }
    Ok(())
}

fn planned(open: &Open) -> String {
    let mut text = String::new();
    for (change, decision) in open.planned() {
        let how = match decision {
            Decision::Keep => " (the host's is kept)",
            Decision::Beside => " (put beside the host's, as .stockade)",
            Decision::Part => " (in part)",
            Decision::Merge => " (merged with the host's)",
            Decision::Apply | Decision::Leave => "",
        };
        let _ = writeln!(text, "{}{how}", report::change_line(change)); // writing to a string cannot fail
    }
    text
}

/// What is held back, with the reason and what to do.
fn held_lines(open: &Open) -> String {
    let held: Vec<_> = open.held().collect();
    let left_out = held.iter().filter(|(_, held)| **held == Held::Ignored);
    let ignored = left_out.clone().count();
    let mut text = String::new();
    let shown = held.iter().filter(|(_, held)| **held != Held::Ignored);
    let total = held.len() - ignored;
    if total > 0 {
        let _ = write!(text, "{} held back, and still pending:", count(total as u64));
        for (change, held) in shown.take(MAX_LINES) {
            let _ = write!(
                text,
                "\n  {} ({})",
                Shown(change.path.as_os_str()),
                held_text(held)
            );
        }
        if total > MAX_LINES {
            let _ = write!(text, "\n  and {} more", total - MAX_LINES);
        }
        text.push_str(&remedies(&held));
    }
    if ignored > 0 {
        // As in a review: directories only hold what is told.
        let files = match left_out
            .filter(|(change, _)| change.node() != NodeKind::Directory)
            .count()
        {
            0 => "directories".to_owned(),
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        let line = format!("{files} in what git ignores left out (--ignored takes them, too)");
        text.push_str(if text.is_empty() { "" } else { "\n  " });
        text.push_str(&line);
    }
    text
}

fn remedies(held: &[(&Change, &Held)]) -> String {
    let has = |wanted: fn(&Held) -> bool| held.iter().any(|(_, held)| wanted(held));
    let mut text = String::new();
    if has(|held| matches!(held, Held::Risky { .. })) {
        text.push_str("\n  fix: look at it with `stockade diff`, then name the file itself, or say --all");
    }
    if has(|held| *held == Held::Conflict) {
        text.push_str("\n  fix: say --conflicts merge, or take a side: --conflicts host, sandbox or beside");
    }
    if has(|held| matches!(held, Held::Unmerged { .. })) {
        text.push_str(
            "\n  fix: say --conflicts mark to get both sides' lines between conflict markers, or take a side: \
             --conflicts host, sandbox or beside",
        );
    }
    text
}

/// Why a change is held back, in a clause.
pub fn held_text(held: &Held) -> String {
    match held {
        Held::Risky { why } => format!("risky: {}", why.join("; ")),
        Held::Conflict => "conflict: it changed on the host, too".to_owned(),
        Held::Unmerged { why } => format!("conflict, not merged: {why}"),
        Held::Special => "a pipe, socket or device is never applied".to_owned(),
        Held::Never { why } => format!("never applied: {why}"),
        Held::WithCommits { .. } => "taken with the commits".to_owned(),
        Held::Ignored => "git ignores it".to_owned(),
        Held::Moved { to } => format!("one conflict with {}, to which it was moved", Shown(to.as_ref())),
        Held::NotChosen => "not chosen".to_owned(),
    }
}

fn count(number: u64) -> String {
    match number {
        1 => "1 change".to_owned(),
        number => format!("{number} changes"),
    }
}

/// `stockade undo`
pub fn undo(args: &UndoArgs) -> Result {
    if args.list {
        let all = apply::undoable()?;
        if args.json {
            report::json(&all)?;
            return Ok(0);
        }
        let rows = all.iter().map(|one| {
            vec![
                one.number.to_string(),
                report::age(report::seconds_since(one.applied_ms)),
                one.paths.to_string(),
            ]
        });
        report::out(&report::table(
            Paint::stdout(),
            &["NUMBER", "AGE", "CHANGES"],
            rows,
        ))?;
        return Ok(0);
    }
    let told = apply::undo(args.dry_run, args.set_aside)?;
    if args.json {
        report::json(&told)?;
        return Ok(0);
    }
    let undone = told.undone;
    let verb = if args.dry_run { "would undo" } else { "undone:" };
    let left = match undone.left {
        0 => "nothing before it can be undone".to_owned(),
        left => format!("{left} more can be undone"),
    };
    let age = report::age(report::seconds_since(undone.applied_ms));
    report::note(&format!(
        "{verb} {} of {age} ago, pending again; {left}",
        count(undone.paths)
    ));
    if let Some(name) = told.set_aside {
        report::note(&format!(
            "what was pending is kept as {name} (`stockade diff --changes {name}`)"
        ));
    }
    Ok(0)
}
