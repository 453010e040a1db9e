//! A review as text, in the form that people know from git. Whatever a sandbox wrote is shown
//! escaped, its lines included.

use std::fmt::Write;
use std::path::Path;

use stockade_domain::units::ByteCount;
use stockade_host::workspace::{
    Detail, Entry, Fold, Hunk, Item, Line, LineKind, NodeKind, hunk_header, quoted,
};

use super::conflict::merges_text;
use super::shown::escape_line;
use super::{Paint, Shown, counts_line, git_lines};
use crate::service::diff::Reviewed;

/// Longest line that is shown; the rest is counted.
const MAX_LINE: usize = 4000;
/// Columns of the bar of `--stat`.
const BAR: u64 = 40;

/// The whole diff.
pub fn diff_text(reviewed: &Reviewed, paint: Paint) -> String {
    let mut text = first(reviewed, paint) + &commits(reviewed, paint);
    for item in &reviewed.review.changes {
        file(&mut text, item, &reviewed.detail(item), paint);
    }
    for fold in &reviewed.review.folded {
        push(&mut text, &fold_line(fold, paint));
    }
    text
}

/// One line a file.
pub fn diff_stat(reviewed: &Reviewed, paint: Paint) -> String {
    let mut text = first(reviewed, paint) + &commits(reviewed, paint);
    for item in &reviewed.review.changes {
        let detail = reviewed.detail(item);
        let amount = match &detail {
            Detail::Text(_) => {
                let (added, removed) = detail.lines();
                let bar = |count: u64, sign: &str| sign.repeat(usize::try_from(count.min(BAR)).unwrap_or(0));
                let (plus, minus) = (bar(added, "+"), bar(removed, "-"));
                format!(
                    "{:>5} {}{}",
                    added + removed,
                    paint.green(&plus),
                    paint.red(&minus)
                )
            }
            Detail::Binary | Detail::Large => format!("  Bin {}", ByteCount(item.change.bytes())),
            Detail::Link(..) => " link".to_owned(),
            Detail::Unreadable(_) => "unreadable".to_owned(),
            Detail::None if item.change.attributes => " attributes".to_owned(),
            Detail::None => item.change.modes().map_or_else(String::new, modes_text),
        };
        push(
            &mut text,
            format!(
                "{} {} {} | {amount}",
                mark(item, paint),
                item.letter(),
                title(item)
            )
            .trim_end(),
        );
    }
    for fold in &reviewed.review.folded {
        push(&mut text, &fold_line(fold, paint));
    }
    push(&mut text, &counts_line(&reviewed.review.counts));
    text
}

/// Only names, risky ones first, quoted as git does.
pub fn diff_names(reviewed: &Reviewed) -> String {
    let mut text = String::new();
    for item in &reviewed.review.changes {
        if item.change.node() != NodeKind::Directory {
            push(&mut text, &name(&item.change.path));
        }
    }
    text
}

/// A name in git's quoting, which is plain ASCII.
fn name(path: &Path) -> String {
    String::from_utf8_lossy(&quoted(b"", path)).into_owned()
}

fn title(item: &Item) -> String {
    let path = name(&item.change.path);
    let slash = if item.change.node() == NodeKind::Directory {
        "/"
    } else {
        ""
    };
    match &item.renamed {
        Some(renamed) => format!("{} => {path}", name(&renamed.from)),
        None => format!("{path}{slash}"),
    }
}

fn mark(item: &Item, paint: Paint) -> String {
    if item.change.risks.is_empty() && !item.change.conflict {
        " ".to_owned()
    } else {
        paint.red("!")
    }
}

/// What a person has to look at first: conflicts, then what is risky.
fn first(reviewed: &Reviewed, paint: Paint) -> String {
    let conflict = |item: &Item| {
        let can = reviewed.conflicts.get(&item.change.path).map(merges_text);
        item.change.conflict.then(|| can.unwrap_or_default())
    };
    let risk = |item: &Item| (!item.change.risks.is_empty()).then(|| why(item));
    let conflicts = listed(reviewed, paint, conflict, |files| {
        format!("! conflicts: {files} changed on the host, too, since the sandbox began")
    });
    let risks = listed(reviewed, paint, risk, |files| {
        format!("! look at these first: {files} that may act on the host")
    });
    conflicts + &risks
}

/// The changes of which there is something to say, under a heading with their number.
fn listed(
    reviewed: &Reviewed,
    paint: Paint,
    said: impl Fn(&Item) -> Option<String>,
    heading: impl Fn(&str) -> String,
) -> String {
    let mut text = String::new();
    let changes = reviewed.review.changes.iter();
    let found: Vec<(&Item, String)> = changes.filter_map(|item| Some((item, said(item)?))).collect();
    if found.is_empty() {
        return text;
    }
    let files = match found.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    push(&mut text, &paint.red(&heading(&files)));
    for (item, said) in found {
        let line = format!("{} {} {}: {said}", paint.red("!"), item.letter(), title(item));
        push(&mut text, &line);
    }
    text.push('\n');
    text
}

/// What happened in git repositories, before the files.
fn commits(reviewed: &Reviewed, paint: Paint) -> String {
    let mut text = String::new();
    for told in &reviewed.review.git {
        for (number, line) in git_lines(told).iter().enumerate() {
            let line = format!("# {line}");
            push(&mut text, &if number == 0 { paint.bold(&line) } else { line });
        }
        text.push('\n');
    }
    text
}

fn why(item: &Item) -> String {
    let reasons: Vec<&str> = item.change.risks.iter().map(|risk| risk.why()).collect();
    reasons.join("; ")
}

fn file(text: &mut String, item: &Item, detail: &Detail, paint: Paint) {
    let change = &item.change;
    let from = item
        .renamed
        .as_ref()
        .map_or(&change.path, |renamed| &renamed.from);
    let git = |prefix: &[u8], path: &Path| String::from_utf8_lossy(&quoted(prefix, path)).into_owned();
    let (a, b) = (git(b"a/", from), git(b"b/", &change.path));
    push(text, &paint.bold(&format!("diff --git {a} {b}")));
    if !change.risks.is_empty() {
        push(text, &paint.red(&format!("! {}", why(item))));
    }
    match (change.before, change.after) {
        (None, Some(after)) => push(text, &format!("new {} mode {:o}", kind(after), mode(after))),
        (Some(before), None) => push(text, &format!("deleted {} mode {:o}", kind(before), mode(before))),
        (Some(before), Some(after)) if before.node != after.node => {
            push(text, &format!("{} became {}", kind(before), kind(after)));
        }
        (Some(before), Some(after)) if change.modes().is_some() => {
            push(
                text,
                &format!("old mode {:o}\nnew mode {:o}", mode(before), mode(after)),
            );
        }
        _ => {}
    }
    if change.attributes {
        push(text, "attributes of programs (user.) differ");
    }
    if let Some(renamed) = &item.renamed {
        let (from, to) = (name(&renamed.from), name(&change.path));
        push(
            text,
            &format!(
                "similarity index {}%\nrename from {from}\nrename to {to}",
                renamed.similarity
            ),
        );
    }
    match detail {
        Detail::None => {}
        Detail::Binary => push(text, &format!("binary files differ ({})", sizes(item))),
        Detail::Large => push(
            text,
            &format!("too large to compare line by line ({})", sizes(item)),
        ),
        Detail::Unreadable(why) => push(text, &paint.red(&format!("cannot be read: {}", Shown::new(why)))),
        Detail::Link(before, after) => {
            for (sign, target) in [("-", before), ("+", after)] {
                if let Some(target) = target {
                    push(text, &format!("{sign}link to {}", Shown::new(target)));
                }
            }
        }
        Detail::Text(hunks) => {
            if !hunks.is_empty() {
                let side = |shown: &str, entry: Option<Entry>| match entry {
                    Some(_) => shown.to_owned(),
                    None => "/dev/null".to_owned(),
                };
                push(text, &paint.bold(&format!("--- {}", side(&a, change.before))));
                push(text, &paint.bold(&format!("+++ {}", side(&b, change.after))));
            }
            hunks.iter().for_each(|hunk| hunk_text(text, hunk, paint));
        }
    }
}

/// A hunk, as git shows it.
pub fn hunk_text(text: &mut String, hunk: &Hunk, paint: Paint) {
    push(text, &paint.cyan(&hunk_header(hunk)));
    for Line { kind, bytes } in &hunk.lines {
        let (content, has_end) = match bytes.strip_suffix(b"\n") {
            Some(content) => (content, true),
            None => (bytes.as_slice(), false),
        };
        let shown = line_text(content);
        push(
            text,
            &match kind {
                LineKind::Context => format!(" {shown}"),
                LineKind::Removed => paint.red(&format!("-{shown}")),
                LineKind::Added => paint.green(&format!("+{shown}")),
            },
        );
        if !has_end {
            push(text, "\\ No newline at end of file");
        }
    }
}

/// A line of a file, harmless for a terminal and of bounded length.
pub fn line_text(content: &[u8]) -> String {
    let shown = escape_line(content);
    match shown.char_indices().nth(MAX_LINE) {
        None => shown,
        Some((end, _)) => {
            let more = shown.get(end..).unwrap_or_default().chars().count();
            format!(
                "{}… ({more} more characters)",
                shown.get(..end).unwrap_or_default()
            )
        }
    }
}

fn sizes(item: &Item) -> String {
    let size = |entry: Option<Entry>| {
        entry.map_or_else(
            || "nothing".to_owned(),
            |entry| ByteCount(entry.bytes).to_string(),
        )
    };
    format!("{} → {}", size(item.change.before), size(item.change.after))
}

/// What people call a kind of file.
pub fn kind(entry: Entry) -> &'static str {
    match entry.node {
        NodeKind::File => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink => "link",
        NodeKind::Special => "special file",
        NodeKind::Unknown => "file of unknown kind",
    }
}

/// A mode as git writes it, with the permission bits that there are.
fn mode(entry: Entry) -> u32 {
    let kind = match entry.node {
        NodeKind::Directory => 0o040_000,
        NodeKind::Symlink => return 0o120_000,
        NodeKind::File | NodeKind::Special | NodeKind::Unknown => 0o100_000,
    };
    kind | entry.mode
}

/// `mode 644 → 755`.
pub fn modes_text((before, after): (u32, u32)) -> String {
    format!("mode {before:o} → {after:o}")
}

/// The one line of an ignored tree.
pub fn fold_text(fold: &Fold) -> String {
    let counts = counts_line(&fold.counts);
    let why = if fold.git {
        "git's own data"
    } else {
        "ignored by git's rules"
    };
    let risky = match fold.risky {
        0 => String::new(),
        1 => ", 1 of which a tool may run".to_owned(),
        count => format!(", {count} of which a tool may run"),
    };
    format!(
        "{}: {counts} ({}), {why}{risky}",
        name(&fold.path),
        ByteCount(fold.counts.bytes)
    )
}

fn fold_line(fold: &Fold, paint: Paint) -> String {
    paint.yellow(&format!("# {}", fold_text(fold)))
}

fn push(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}"); // writing to a string cannot fail
}
