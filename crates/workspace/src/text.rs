//! The difference between two texts, in hunks of lines.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, sources};

/// Lines of context around a change, as git shows them.
const CONTEXT: u32 = 3;
/// As git: a NUL in the first bytes makes a file binary.
const LOOKED_AT_BYTES: usize = 8000;

/// What happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// It is on both sides.
    Context,
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

/// A line of a hunk, with its end (which the last line of a text may lack).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened to it.
    pub kind: LineKind,
    /// Any bytes: escape them before showing them.
    pub bytes: Vec<u8>,
}

/// Lines that belong together. Numbers of lines begin at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Its lines before.
    pub before: Range<u32>,
    /// Its lines after.
    pub after: Range<u32>,
    /// The lines in order.
    pub lines: Vec<Line>,
}

/// True for what is not shown as text.
#[must_use]
pub fn is_binary(content: &[u8]) -> bool {
    content.iter().take(LOOKED_AT_BYTES).any(|byte| *byte == 0)
}

/// Compares two texts line by line.
#[must_use]
pub fn hunks(before: &[u8], after: &[u8]) -> Vec<Hunk> {
    let input = InternedInput::new(sources::byte_lines(before), sources::byte_lines(after));
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    let (all_before, all_after) = (count(input.before.len()), count(input.after.len()));
    // Changes whose context touches form one hunk.
    let mut groups: Vec<Vec<imara_diff::Hunk>> = Vec::new();
    for change in diff.hunks() {
        match groups.last_mut() {
            Some(group)
                if group
                    .last()
                    .is_some_and(|last| change.before.start - last.before.end <= 2 * CONTEXT) =>
            {
                group.push(change);
            }
            _ => groups.push(vec![change]),
        }
    }
    let line = |kind, side: &[imara_diff::Token], at: u32| {
        let token = usize::try_from(at).ok().and_then(|at| side.get(at));
        Line {
            kind,
            bytes: token.map_or_else(Vec::new, |token| input.interner[*token].to_vec()),
        }
    };
    let mut found = Vec::with_capacity(groups.len());
    for group in groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let lead = CONTEXT.min(first.before.start);
        let (start, end) = (
            first.before.start - lead,
            (last.before.end + CONTEXT).min(all_before),
        );
        let after_start = first.after.start - lead;
        let after_end = (last.after.end + (end - last.before.end)).min(all_after);
        let mut lines = Vec::new();
        let mut next = start;
        for change in &group {
            lines.extend((next..change.before.start).map(|at| line(LineKind::Context, &input.before, at)));
            lines.extend(
                change
                    .before
                    .clone()
                    .map(|at| line(LineKind::Removed, &input.before, at)),
            );
            lines.extend(
                change
                    .after
                    .clone()
                    .map(|at| line(LineKind::Added, &input.after, at)),
            );
            next = change.before.end;
        }
        lines.extend((next..end).map(|at| line(LineKind::Context, &input.before, at)));
        found.push(Hunk {
            before: start..end,
            after: after_start..after_end,
            lines,
        });
    }
    found
}
