//! What can be wrong with a policy, shown where it is wrong.

use std::fmt;
use std::ops::Range;

use crate::demand::Origin;

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Something at a place of the file.
    #[error("{0}")]
    At(Box<Diagnostic>),
    /// Larger than any policy has reason to be.
    #[error(
        "{file}: the policy has {bytes} bytes, more than the {limit} that are read: is it the right file?"
    )]
    TooLarge {
        /// The file as it was named.
        file: String,
        /// Its size.
        bytes: usize,
        /// The largest that is read.
        limit: usize,
    },
    /// A preset that does not exist.
    #[error("{origin}: there is no preset {name}\n  fix: {fix}")]
    NoPreset {
        /// Who asked for it.
        origin: Origin,
        /// What was asked for.
        name: String,
        /// The nearest, or all.
        fix: String,
    },
    /// Clauses that contradict each other, in one layer or across layers, and clauses
    /// that a layer may not have.
    #[error("{}", conflicts_text(.0))]
    Conflicts(Vec<Conflict>),
}

/// Two clauses of which at most one can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The clause that cannot hold.
    pub origin: Origin,
    /// Why it cannot.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// A remedy that several share is told once, after the last of them.
fn conflicts_text(conflicts: &[Conflict]) -> String {
    let mut lines = Vec::new();
    for (index, conflict) in conflicts.iter().enumerate() {
        lines.push(format!("{}: {}", conflict.origin, conflict.what));
        if conflicts
            .get(index + 1)
            .is_none_or(|next| next.fix != conflict.fix)
        {
            lines.push(format!("  fix: {}", conflict.fix));
        }
    }
    lines.join("\n")
}

/// A place in a file, what is wrong there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The part of the line that is shown.
    excerpt: String,
    /// Where in the excerpt the mark begins, in characters.
    mark_at: usize,
    /// How long the mark is, in characters.
    mark_len: usize,
}

/// Characters of a line that are shown; longer lines are cut around the mark.
const EXCERPT_CHARS: usize = 100;
/// Characters shown before the mark when a line is cut.
const LEAD_CHARS: usize = 40;

impl Diagnostic {
    /// Points at a range of bytes of `text`. A range outside of it points at the end.
    #[must_use]
    pub fn new(
        file: &str,
        text: &str,
        span: Range<usize>,
        what: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let place = Place::of(text, span.start);
        let mark_chars = text
            .get(floor(text, span.start)..floor(text, span.end))
            .map_or(0, |marked| marked.chars().take_while(|c| *c != '\n').count());
        let from = if place.line_text.chars().count() > EXCERPT_CHARS {
            place.column_index.saturating_sub(LEAD_CHARS)
        } else {
            0
        };
        let excerpt: String = place
            .line_text
            .chars()
            .skip(from)
            .take(EXCERPT_CHARS)
            .map(printable)
            .collect();
        let mark_at = place.column_index - from;
        let room = excerpt.chars().count().saturating_sub(mark_at);
        Self {
            file: file.to_owned(),
            line: place.line,
            column: u32::try_from(place.column_index + 1).unwrap_or(u32::MAX),
            what: what.into(),
            help,
            mark_at,
            mark_len: mark_chars.min(room).max(1),
            excerpt: excerpt.trim_end().to_owned(),
        }
    }
}

/// Where a byte of a text is.
pub(super) struct Place<'a> {
    /// Line, from 1.
    pub line: u32,
    /// Characters of the line before it.
    pub column_index: usize,
    line_text: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(text: &'a str, byte: usize) -> Self {
        let byte = floor(text, byte);
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[byte..].find('\n').map_or(text.len(), |length| byte + length);
        Self {
            line: u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX),
            column_index: text[line_start..byte].chars().count(),
            line_text: &text[line_start..line_end],
        }
    }
}

/// The last character boundary up to a byte.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// Policies come from repositories: nothing in them may drive the user's terminal.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c) =>
        {
            '\u{fffd}'
        }
        c => c,
    }
}

pub(super) fn printable_text(text: &str) -> String {
    text.chars().map(printable).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(out, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        writeln!(out, "{margin} |")?;
        writeln!(out, "{number} | {}", self.excerpt)?;
        write!(
            out,
            "{margin} | {}{}",
            " ".repeat(self.mark_at),
            "^".repeat(self.mark_len)
        )?;
        self.help
            .as_ref()
            .map_or(Ok(()), |help| write!(out, "\n{margin} = help: {help}"))
    }
}
