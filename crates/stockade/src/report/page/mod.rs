//! A review as one page for a browser, for people who do not live in terminals. It needs
//! nothing from elsewhere and runs no script; its content policy says so. Everything that a
//! sandbox wrote is escaped twice: what a person cannot see, and what a browser would obey.

mod files;
mod probe;

use std::fmt::Write;

use stockade_domain::units::ByteCount;

use super::conflict::merges_text;
use super::diff::fold_text;
use super::shown::escape_line;
use super::{Paint, counts_line, git_lines, record_line};
use crate::service::diff::Reviewed;
use files::{file, line_of};
pub use probe::probe_page;

/// The look of the page.
const STYLE: &str = include_str!("style.css");
/// SHA-256 of the style in base 64: the only thing beside the text that the page may hold.
const STYLE_HASH: &str = "ZP7XgDf10u5h5qIeczAyjUTd+COAl0dhuri/lcYcm7Q=";
/// A browser gets slow with more; the rest is named.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// The page.
pub fn review_page(reviewed: &Reviewed) -> String {
    let mut page = String::new();
    head(&mut page, reviewed);
    summary(&mut page, reviewed);
    conflicts(&mut page, reviewed);
    risks(&mut page, reviewed);
    commits(&mut page, reviewed);
    contents(&mut page, reviewed);
    page.push_str("<h2>Changes</h2>\n");
    let mut left_out = 0_usize;
    for (number, item) in reviewed.review.changes.iter().enumerate() {
        if page.len() > MAX_PAGE_BYTES {
            left_out += 1;
        } else {
            let conflict = reviewed.conflicts.get(&item.change.path).map(merges_text);
            file(
                &mut page,
                number,
                item,
                &reviewed.detail(item),
                conflict.as_deref(),
            );
        }
    }
    if left_out > 0 {
        push(
            &mut page,
            &format!(
                "<p class=\"why\">{left_out} more files are not on this page: see <code>stockade diff</code>.</p>"
            ),
        );
    }
    history(&mut page, reviewed);
    page.push_str("</body>\n</html>\n");
    page
}

fn head(page: &mut String, reviewed: &Reviewed) {
    let title = text(reviewed.workspace.as_os_str().as_encoded_bytes());
    push(
        page,
        &format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>Changes in {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>Changes in {title}</h1>"
        ),
    );
}

fn summary(page: &mut String, reviewed: &Reviewed) {
    let counts = &reviewed.review.counts;
    let card = |count: u64, what: &str| format!("<li><b>{count}</b> {what}</li>");
    push(
        page,
        &format!(
            "<p class=\"dim\">Change set {}. Nothing of this is in the project yet.</p>\n<ul class=\"cards\">{}{}{}{}<li><b>{}</b> in all</li></ul>",
            text(reviewed.name.as_bytes()),
            card(counts.added, "new"),
            card(counts.changed, "changed"),
            card(counts.deleted, "deleted"),
            card(counts.directories, "directories"),
            ByteCount(counts.bytes)
        ),
    );
    let mut warn = |line: &str| push(page, &format!("<p class=\"why\">{}</p>", text(line.as_bytes())));
    if reviewed.live {
        warn("A sandbox was using these changes when this page was written: there may be more now.");
    }
    if !reviewed.has_workspace {
        warn("The project is gone or could not be read: all changes look new.");
    }
    if reviewed.review.truncated {
        warn("There are more changes than are shown here.");
    }
    for unread in &reviewed.review.unread {
        let path = escape_line(unread.path.as_os_str().as_encoded_bytes());
        warn(&format!("{path} could not be read: {}", unread.why));
    }
}

/// What changed on the host, too.
fn conflicts(page: &mut String, reviewed: &Reviewed) {
    let changes = reviewed.review.changes.iter().enumerate();
    let conflicts: Vec<_> = changes.filter(|(_, item)| item.change.conflict).collect();
    if conflicts.is_empty() {
        return;
    }
    page.push_str("<section class=\"risks\"><h2>Conflicts</h2>\n<p>These files changed on your machine, too, since the sandbox began. They are not overwritten unless you say so.</p>\n<ul class=\"files\">\n");
    for (number, item) in conflicts {
        let can = reviewed.conflicts.get(&item.change.path).map(merges_text);
        let can = text(can.unwrap_or_default().as_bytes());
        push(page, &format!("<li>{}: {can}</li>", line_of(number, item)));
    }
    page.push_str("</ul></section>\n");
}

fn risks(page: &mut String, reviewed: &Reviewed) {
    let changes = reviewed.review.changes.iter().enumerate();
    let risky: Vec<_> = changes
        .filter(|(_, item)| !item.change.risks.is_empty())
        .collect();
    if risky.is_empty() {
        page.push_str("<p class=\"calm\">No file that would run later by itself is among the changes.</p>\n");
        return;
    }
    page.push_str("<section class=\"risks\"><h2>Look at these first</h2>\n<p>These files may act on your machine later, some without being asked.</p>\n<ul class=\"files\">\n");
    for (number, item) in risky {
        let why: Vec<&str> = item.change.risks.iter().map(|risk| risk.why()).collect();
        push(
            page,
            &format!(
                "<li>{}: {}</li>",
                line_of(number, item),
                text(why.join("; ").as_bytes())
            ),
        );
    }
    page.push_str("</ul></section>\n");
}

/// Commits that were made inside.
fn commits(page: &mut String, reviewed: &Reviewed) {
    if reviewed.review.git.is_empty() {
        return;
    }
    page.push_str("<h2>Commits</h2>\n");
    for told in &reviewed.review.git {
        let lines = git_lines(told).join("\n");
        push(page, &format!("<pre>{}</pre>", lines_text(&lines)));
    }
}

/// Lines of ours, with what they quote.
fn lines_text(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| text(line.as_bytes())).collect();
    lines.join("\n")
}

fn contents(page: &mut String, reviewed: &Reviewed) {
    page.push_str("<h2>Files</h2>\n<ul class=\"files\">\n");
    for (number, item) in reviewed.review.changes.iter().enumerate() {
        push(page, &format!("<li>{}</li>", line_of(number, item)));
    }
    for fold in &reviewed.review.folded {
        push(
            page,
            &format!("<li class=\"dim\">{}</li>", text(fold_text(fold).as_bytes())),
        );
    }
    push(
        page,
        &format!(
            "</ul>\n<p class=\"dim\">{}</p>",
            counts_line(&reviewed.review.counts)
        ),
    );
}

fn history(page: &mut String, reviewed: &Reviewed) {
    page.push_str("<h2>What was run, and what was refused</h2>\n");
    if reviewed.history.is_empty() {
        page.push_str("<p class=\"dim\">No records of these sandboxes are left.</p>\n");
        return;
    }
    page.push_str("<ol class=\"history\">\n");
    for entry in &reviewed.history {
        let class = match entry.kind() {
            "refused" | "failed" | "lost" | "limit-hit" => " class=\"bad\"",
            _ => "",
        };
        let line = record_line(entry, Paint::OFF);
        push(
            page,
            &format!("<li{class}><code>{}</code></li>", text(line.as_bytes())),
        );
    }
    page.push_str("</ol>\n");
}

/// Any bytes as text of the page.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for letter in escape_line(bytes).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

fn push(page: &mut String, line: &str) {
    let _ = writeln!(page, "{line}"); // writing to a string cannot fail
}
