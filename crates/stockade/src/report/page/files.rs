//! One file of the page: what happened to it, and its lines side by side.

use stockade_host::workspace::{Detail, Entry, Hunk, Item, Line, LineKind, NodeKind, hunk_header};

use stockade_domain::units::ByteCount;

use super::super::diff::{kind, line_text, modes_text};
use super::{push, text};

/// Lines of one file that are shown.
const MAX_LINES: usize = 4000;
/// Files with more lines begin folded.
const MAX_OPEN_LINES: usize = 400;

/// A file in a list, with a link to where it is shown.
pub fn line_of(number: usize, item: &Item) -> String {
    let letter = item.letter();
    format!(
        "<span class=\"tag\">{letter}</span><a href=\"#f{number}\">{}</a>",
        title(item)
    )
}

fn title(item: &Item) -> String {
    let path = text(item.change.path.as_os_str().as_encoded_bytes());
    let slash = if item.change.node() == NodeKind::Directory {
        "/"
    } else {
        ""
    };
    match &item.renamed {
        Some(renamed) => format!("{} → {path}", text(renamed.from.as_os_str().as_encoded_bytes())),
        None => format!("{path}{slash}"),
    }
}

/// One file.
pub fn file(page: &mut String, number: usize, item: &Item, detail: &Detail, conflict: Option<&str>) {
    let lines = match detail {
        Detail::Text(hunks) => hunks.iter().map(|hunk| hunk.lines.len()).sum(),
        _ => 0,
    };
    let open = if lines <= MAX_OPEN_LINES { " open" } else { "" };
    let risky = if item.change.risks.is_empty() && conflict.is_none() {
        ""
    } else {
        " class=\"risky\""
    };
    push(
        page,
        &format!(
            "<details id=\"f{number}\"{risky}{open}><summary><span class=\"tag\">{}</span>{}</summary>\n<div class=\"body\">",
            item.letter(),
            title(item)
        ),
    );
    for risk in &item.change.risks {
        push(
            page,
            &format!("<p class=\"why\">{}</p>", text(risk.why().as_bytes())),
        );
    }
    if let Some(conflict) = conflict {
        let line = format!("It changed on the host, too: {conflict}");
        push(page, &format!("<p class=\"why\">{}</p>", text(line.as_bytes())));
    }
    push(page, &format!("<p class=\"dim\">{}</p>", facts(item)));
    content(page, item, detail);
    push(page, "</div></details>");
}

/// What happened, in words.
fn facts(item: &Item) -> String {
    let change = &item.change;
    let mut facts = match (change.before, change.after) {
        (None, Some(after)) => vec![format!("new {}, mode {:o}", kind(after), after.mode)],
        (Some(before), None) => vec![format!("deleted {}", kind(before))],
        (Some(before), Some(after)) if before.node != after.node => {
            vec![format!("{} became {}", kind(before), kind(after))]
        }
        (_, Some(after)) => vec![format!("changed {}", kind(after))],
        (None, None) => Vec::new(),
    };
    facts.extend(change.modes().map(modes_text));
    facts.extend(change.attributes.then(|| "other attributes (user.)".to_owned()));
    if let Some(renamed) = &item.renamed {
        facts.push(format!("moved, {} % the same", renamed.similarity));
    }
    facts.join(", ")
}

fn content(page: &mut String, item: &Item, detail: &Detail) {
    let size = |entry: Option<Entry>| {
        entry.map_or_else(
            || "nothing".to_owned(),
            |entry| ByteCount(entry.bytes).to_string(),
        )
    };
    match detail {
        Detail::None => {}
        Detail::Binary | Detail::Large => {
            let what = if *detail == Detail::Binary {
                "Binary"
            } else {
                "Too large to show"
            };
            let (before, after) = (size(item.change.before), size(item.change.after));
            push(page, &format!("<p>{what}: {before} → {after}</p>"));
        }
        Detail::Unreadable(why) => {
            push(
                page,
                &format!("<p class=\"why\">Cannot be read: {}</p>", text(why.as_bytes())),
            );
        }
        Detail::Link(before, after) => {
            for (class, what, target) in [("gone", "was", before), ("new", "is", after)] {
                if let Some(target) = target {
                    let target = text(target.as_os_str().as_encoded_bytes());
                    push(
                        page,
                        &format!(
                            "<table><tr><td class=\"{class}\">{what} a link to {target}</td></tr></table>"
                        ),
                    );
                }
            }
        }
        Detail::Text(hunks) => table(page, hunks),
    }
}

fn table(page: &mut String, hunks: &[Hunk]) {
    if hunks.is_empty() {
        push(page, "<p class=\"dim\">empty</p>");
        return;
    }
    push(
        page,
        "<table><colgroup><col class=\"n\"><col><col class=\"n\"><col></colgroup>",
    );
    let mut left = MAX_LINES;
    for hunk in hunks {
        if left == 0 {
            break;
        }
        push(
            page,
            &format!(
                "<tr class=\"at\"><td colspan=\"4\">{}</td></tr>",
                hunk_header(hunk)
            ),
        );
        rows(page, hunk, &mut left);
    }
    push(page, "</table>");
    if left == 0 {
        push(
            page,
            "<p class=\"why\">More lines are not on this page: see <code>stockade diff</code>.</p>",
        );
    }
}

/// Removed lines stand beside those that were added in their place.
fn rows(page: &mut String, hunk: &Hunk, left: &mut usize) {
    let (mut before, mut after) = (hunk.before.start, hunk.after.start);
    let mut lines = hunk.lines.iter().peekable();
    while lines.peek().is_some() && *left > 0 {
        let mut take = |kind: LineKind| {
            let mut taken: Vec<&Line> = Vec::new();
            while let Some(line) = lines.next_if(|line| line.kind == kind) {
                taken.push(line);
            }
            taken
        };
        for line in take(LineKind::Context) {
            (before, after) = (before + 1, after + 1);
            let shown = shown(line);
            row(page, (before, "", &shown), (after, "same", &shown));
            *left = left.saturating_sub(1);
        }
        let (gone, new) = (take(LineKind::Removed), take(LineKind::Added));
        for at in 0..gone.len().max(new.len()) {
            let (old, fresh) = (gone.get(at), new.get(at));
            before += u32::from(old.is_some());
            after += u32::from(fresh.is_some());
            let (old_text, new_text) = (old.map(|line| shown(line)), fresh.map(|line| shown(line)));
            row(
                page,
                side(before, "gone", old_text.as_deref()),
                side(after, "new", new_text.as_deref()),
            );
            *left = left.saturating_sub(1);
        }
    }
}

fn side<'a>(number: u32, class: &'a str, shown: Option<&'a str>) -> (u32, &'a str, &'a str) {
    match shown {
        Some(shown) => (number, class, shown),
        None => (0, "", ""),
    }
}

fn row(page: &mut String, before: (u32, &str, &str), after: (u32, &str, &str)) {
    let cells = |(number, class, shown): (u32, &str, &str)| {
        let number = if number == 0 {
            String::new()
        } else {
            number.to_string()
        };
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        format!("<td class=\"n\">{number}</td><td{class}>{shown}</td>")
    };
    push(page, &format!("<tr>{}{}</tr>", cells(before), cells(after)));
}

fn shown(line: &Line) -> String {
    let content = line.bytes.strip_suffix(b"\n");
    let shown = line_text(content.unwrap_or(&line.bytes));
    let end = if content.is_some() {
        ""
    } else {
        " (no newline at the end)"
    };
    // An empty cell means that there is no line.
    let shown = if shown.is_empty() && end.is_empty() {
        " "
    } else {
        &shown
    };
    format!("{}{end}", text(shown.as_bytes()))
}
