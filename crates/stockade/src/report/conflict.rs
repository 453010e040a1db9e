//! A conflict as text: what the host made of a file, what the sandbox made of it, and where both
//! changed the same lines.

use std::fmt::Write;

use stockade_host::workspace::{Clash, Hunk, Merges, ThreeWay};

use super::diff::{hunk_text, line_text};
use super::{Paint, Shown};

/// Lines of one conflict that are shown.
const MAX_LINES: usize = 120;

/// A conflict from three sides, each line indented.
pub fn three_way_text(path: &std::path::Path, three: &ThreeWay, paint: Paint) -> String {
    let mut text = format!(
        "{}\n",
        paint.bold(&format!("conflict: {}", Shown(path.as_os_str())))
    );
    match three {
        ThreeWay::Apart(apart) => {
            if let Some((what, hunks)) = &apart.shown {
                side(&mut text, what, hunks, paint);
            }
        }
        ThreeWay::Text(texts) if texts.merge.clashes().next().is_none() => {
            side(&mut text, "base → host", &texts.host, paint);
            side(&mut text, "base → sandbox", &texts.sandbox, paint);
        }
        ThreeWay::Text(texts) => texts
            .merge
            .clashes()
            .for_each(|clash| clash_text(&mut text, clash, paint)),
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", merges_text(&three.merges()));
    indented(&text)
}

/// Whether it can be merged, in a sentence.
pub fn merges_text(merges: &Merges) -> String {
    match merges {
        Merges::Cleanly => "merges cleanly (--conflicts merge)".to_owned(),
        Merges::WithMarks { why } => format!("{why} (--conflicts mark)"),
        Merges::Not { why } => format!("cannot be merged: {why}"),
    }
}

fn side(text: &mut String, what: &str, hunks: &[Hunk], paint: Paint) {
    if hunks.is_empty() {
        let _ = writeln!(text, "{what}: the same content");
        return;
    }
    let _ = writeln!(text, "{what}:");
    hunks.iter().for_each(|hunk| hunk_text(text, hunk, paint));
}

fn clash_text(text: &mut String, clash: &Clash, paint: Paint) {
    let at = |first: u32| first + 1;
    let heads = [
        (format!("host, line {}:", at(clash.host_lines.start)), &clash.host),
        ("base:".to_owned(), &clash.base),
        (
            format!("sandbox, line {}:", at(clash.sandbox_lines.start)),
            &clash.sandbox,
        ),
    ];
    for (head, part) in heads {
        let _ = writeln!(text, "{}", paint.cyan(&head));
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let _ = writeln!(text, "  {}", line_text(line));
        }
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (head, last) = (
        lines.len().saturating_sub(1),
        lines.last().copied().unwrap_or_default(),
    );
    let mut out = String::new();
    for (number, line) in lines.iter().take(head.min(MAX_LINES)).enumerate() {
        let indent = if number == 0 { "" } else { "    " };
        let _ = writeln!(out, "{indent}{line}");
    }
    if head > MAX_LINES {
        let _ = writeln!(out, "    … ({} more lines)", head - MAX_LINES);
    }
    let _ = writeln!(out, "    {last}");
    out
}
