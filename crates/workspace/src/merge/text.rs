//! Three texts made into one, line by line: what one side changed is taken, what both changed alike
//! is taken once, and where they changed the same lines otherwise there is a clash.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, Token, sources};

/// Lines that both sides changed otherwise. Line numbers begin at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What stood there before.
    pub base: Vec<u8>,
    /// What stands there on the host.
    pub host: Vec<u8>,
    /// What stands there inside.
    pub sandbox: Vec<u8>,
    /// The lines of the host's text.
    pub host_lines: Range<u32>,
    /// The lines of the text inside.
    pub sandbox_lines: Range<u32>,
}

/// A stretch of the merged text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Settled(Vec<u8>),
    Clash(Clash),
}

/// Three texts that were merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    pieces: Vec<Piece>,
    /// How the marks end their lines: as the text does.
    end: &'static [u8],
}

/// One side against the base.
struct Against {
    hunks: Vec<imara_diff::Hunk>,
}

/// Merges two texts that came from a third.
#[must_use]
pub fn merge(base: &[u8], host: &[u8], sandbox: &[u8]) -> Merge {
    // One interner for all three: tokens are equal where lines are.
    let mut input = InternedInput::new(sources::byte_lines(base), sources::byte_lines(host));
    let (base_lines, host_lines) = (
        std::mem::take(&mut input.before),
        std::mem::take(&mut input.after),
    );
    input.update_after(sources::byte_lines(sandbox));
    let sandbox_lines = std::mem::take(&mut input.after);
    let mut against = |side: &[Token]| {
        input.before.clone_from(&base_lines);
        input.after = side.to_vec();
        let mut diff = Diff::compute(Algorithm::Histogram, &input);
        diff.postprocess_lines(&input);
        Against {
            hunks: diff.hunks().collect(),
        }
    };
    let (of_host, of_sandbox) = (against(&host_lines), against(&sandbox_lines));
    let text = |side: &[Token], lines: &Range<u32>| -> Vec<u8> {
        let range = index(lines.start)..index(lines.end);
        let tokens = side.get(range).unwrap_or_default();
        tokens
            .iter()
            .flat_map(|token| input.interner[*token].iter().copied())
            .collect()
    };
    let mut pieces = Vec::new();
    let mut next = 0;
    for region in regions(&of_host, &of_sandbox) {
        push(&mut pieces, text(&base_lines, &(next..region.base.start)));
        next = region.base.end;
        let (of_base, host, sandbox) = (
            text(&base_lines, &region.base),
            text(&host_lines, &region.host),
            text(&sandbox_lines, &region.sandbox),
        );
        if host == sandbox || sandbox == of_base {
            push(&mut pieces, host);
        } else if host == of_base {
            push(&mut pieces, sandbox);
        } else {
            pieces.push(Piece::Clash(Clash {
                base: of_base,
                host,
                sandbox,
                host_lines: region.host,
                sandbox_lines: region.sandbox,
            }));
        }
    }
    let all = u32::try_from(base_lines.len()).unwrap_or(u32::MAX);
    push(&mut pieces, text(&base_lines, &(next..all)));
    Merge {
        pieces,
        end: if host
            .split_inclusive(|byte| *byte == b'\n')
            .next()
            .is_some_and(|line| line.ends_with(b"\r\n"))
        {
            b"\r\n"
        } else {
            b"\n"
        },
    }
}

fn push(pieces: &mut Vec<Piece>, bytes: Vec<u8>) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Settled(last)) => last.extend(bytes),
        _ => pieces.push(Piece::Settled(bytes)),
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Lines in which at least one side differs from the base, with what they are on each side.
struct Region {
    base: Range<u32>,
    host: Range<u32>,
    sandbox: Range<u32>,
}

/// Changes of both sides that overlap or touch are one region: as with git, lines that were
/// changed side by side are not independent.
fn regions(host: &Against, sandbox: &Against) -> Vec<Region> {
    let mut all: Vec<&imara_diff::Hunk> = host.hunks.iter().chain(&sandbox.hunks).collect();
    all.sort_by_key(|hunk| (hunk.before.start, hunk.before.end));
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for hunk in all {
        match ranges.last_mut() {
            Some(last) if hunk.before.start <= last.end => last.end = last.end.max(hunk.before.end),
            _ => ranges.push(hunk.before.clone()),
        }
    }
    ranges
        .into_iter()
        .map(|base| Region {
            host: host.lines_of(&base),
            sandbox: sandbox.lines_of(&base),
            base,
        })
        .collect()
}

impl Against {
    /// What became of a range of the base that no change crosses the ends of.
    fn lines_of(&self, base: &Range<u32>) -> Range<u32> {
        let mut start = base.start;
        let mut end = base.end;
        for hunk in &self.hunks {
            // One that ends where the range begins touches it, so it is in it.
            if hunk.before.end < base.start {
                start = base.start - hunk.before.end + hunk.after.end;
            }
            if hunk.before.start <= base.end {
                end = base.end - hunk.before.end + hunk.after.end;
            }
        }
        start..end
    }
}

impl Merge {
    /// Where both sides changed the same lines otherwise.
    pub fn clashes(&self) -> impl Iterator<Item = &Clash> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Clash(clash) => Some(clash),
            Piece::Settled(_) => None,
        })
    }

    /// The one text, if there is no clash.
    #[must_use]
    pub fn clean(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Settled(bytes) => text.extend_from_slice(bytes),
                Piece::Clash(_) => return None,
            }
        }
        Some(text)
    }

    /// The one text, with marks around what clashes, in the form that git calls `diff3`.
    #[must_use]
    pub fn marked(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Settled(bytes) => text.extend_from_slice(bytes),
                Piece::Clash(clash) => self.mark(&mut text, clash),
            }
        }
        text
    }

    fn mark(&self, text: &mut Vec<u8>, clash: &Clash) {
        let parts: [(&[u8], &[u8]); 3] = [
            (b"<<<<<<< host", &clash.host),
            (b"||||||| base", &clash.base),
            (b"=======", &clash.sandbox),
        ];
        for (mark, part) in parts {
            self.line(text, mark);
            text.extend_from_slice(part);
            // The last line of a text may lack its end; a mark begins a line nevertheless.
            if !part.is_empty() && !part.ends_with(b"\n") {
                text.extend_from_slice(self.end);
            }
        }
        self.line(text, b">>>>>>> sandbox");
    }

    fn line(&self, text: &mut Vec<u8>, mark: &[u8]) {
        text.extend_from_slice(mark);
        text.extend_from_slice(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clean(base: &str, host: &str, sandbox: &str) -> Option<String> {
        let merged = merge(base.as_bytes(), host.as_bytes(), sandbox.as_bytes()).clean();
        merged.map(|text| String::from_utf8(text).unwrap())
    }

    fn marked(base: &[u8], host: &[u8], sandbox: &[u8]) -> String {
        String::from_utf8(merge(base, host, sandbox).marked()).unwrap()
    }

    #[test]
    fn changes_apart_are_both_taken() {
        let merged = clean("a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n");
        assert_eq!(merged.as_deref(), Some("A\nb\nc\nd\nE\n"));
    }

    #[test]
    fn what_both_changed_alike_is_taken_once() {
        assert_eq!(
            clean("a\nb\n", "a\nx\nb\n", "a\nx\nb\n").as_deref(),
            Some("a\nx\nb\n")
        );
    }

    #[test]
    fn lines_changed_side_by_side_clash_as_with_git() {
        assert_eq!(clean("a\nb\n", "A\nb\n", "a\nB\n"), None);
        assert_eq!(clean("a\n", "a\nx\n", "a\ny\n"), None);
        // One deletes what stands beside what the other inserts.
        assert_eq!(clean("{\nint a;\n}\n", "{\n}\n", "{\nint a;\nint b;\n}\n"), None);
    }

    #[test]
    fn a_clash_is_marked_with_all_three() {
        let text = marked(b"1\na\n2\n", b"1\nb\n2\n", b"1\nc\n2\n");
        assert_eq!(
            text,
            "1\n<<<<<<< host\nb\n||||||| base\na\n=======\nc\n>>>>>>> sandbox\n2\n"
        );
    }

    #[test]
    fn a_text_without_a_last_end_of_line_is_marked_on_lines_of_its_own() {
        let text = marked(b"a", b"b", b"c");
        assert_eq!(
            text,
            "<<<<<<< host\nb\n||||||| base\na\n=======\nc\n>>>>>>> sandbox\n"
        );
        // That the end of a line came or went is a change as well.
        assert_eq!(
            clean("a\nb\nc", "A\nb\nc", "a\nb\nc\n").as_deref(),
            Some("A\nb\nc\n")
        );
    }

    #[test]
    fn marks_end_as_the_lines_do() {
        let text = marked(b"a\r\n", b"b\r\n", b"c\r\n");
        assert!(
            text.lines().count() == 7
                && text
                    .split('\n')
                    .all(|line| line.is_empty() || line.ends_with('\r'))
        );
        // Other ends of lines are other lines.
        assert_eq!(clean("a\nb\n", "a\r\nb\r\n", "a\nB\n"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_they_are() {
        let merged = merge(b"\xff\n1\n2\n3\n", b"\xfe\n1\n2\n3\n", b"\xff\n1\n2\n\x80\n");
        assert_eq!(merged.clean().as_deref(), Some(b"\xfe\n1\n2\n\x80\n".as_slice()));
    }

    #[test]
    fn a_clash_knows_its_lines() {
        let merged = merge(b"1\na\n2\n", b"0\n1\nb\n2\n", b"1\nc\nd\n2\n");
        let clash = merged.clashes().next().unwrap();
        assert_eq!(
            (clash.host_lines.clone(), clash.sandbox_lines.clone()),
            (2..3, 1..3)
        );
        assert_eq!(
            (clash.host.as_slice(), clash.sandbox.as_slice()),
            (&b"b\n"[..], &b"c\nd\n"[..])
        );
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof!["[ab]{0,2}\n", "[ab]{0,1}\r\n"].prop_map(String::into_bytes);
        (proptest::collection::vec(line, 0..24), any::<bool>()).prop_map(|(lines, cut)| {
            let mut text = lines.concat();
            if cut {
                text.pop();
            }
            text
        })
    }

    /// Lines of which no two are the same, with some replaced, removed and put between.
    fn edits(who: char) -> impl Strategy<Value = (Vec<Option<u8>>, char)> {
        (
            proptest::collection::vec(proptest::option::weighted(0.3, 0..3_u8), 12),
            Just(who),
        )
    }

    fn edited((edits, who): &(Vec<Option<u8>>, char)) -> String {
        let lines = edits.iter().enumerate().map(|(number, edit)| match edit {
            None => format!("{number}\n"),
            Some(0) => String::new(),
            Some(1) => format!("{who}{number}\n"),
            Some(_) => format!("{number}\n{who}{number}\n"),
        });
        lines.collect()
    }

    proptest! {
        #[test]
        fn what_one_side_changed_is_the_result(base in text(), other in text()) {
            prop_assert_eq!(merge(&base, &base, &other).clean(), Some(other.clone()));
            prop_assert_eq!(merge(&base, &other, &base).clean(), Some(other.clone()));
            prop_assert_eq!(merge(&base, &other, &other).clean(), Some(other));
        }

        #[test]
        fn the_sides_are_alike(base in text(), one in text(), other in text()) {
            let (there, back) = (merge(&base, &one, &other), merge(&base, &other, &one));
            prop_assert_eq!(there.clean(), back.clean());
            prop_assert_eq!(there.clashes().count(), back.clashes().count());
        }

        #[test]
        fn a_clean_merge_has_the_lines_of_both_and_lacks_what_either_removed(
            host in edits('h'),
            sandbox in edits('s'),
        ) {
            let base: String = (0..12).map(|number| format!("{number}\n")).collect();
            let (of_host, of_sandbox) = (edited(&host), edited(&sandbox));
            let merged = merge(base.as_bytes(), of_host.as_bytes(), of_sandbox.as_bytes());
            let touches = |one: &[Option<u8>], other: &[Option<u8>]| {
                (0..12).any(|at| one[at].is_some() && other[at].is_some())
            };
            if touches(&host.0, &sandbox.0) && host.0 != sandbox.0 {
                // They may still agree: both removed the line.
                let all_alike = (0..12).all(|at| host.0[at].is_none() || sandbox.0[at].is_none() || (host.0[at], sandbox.0[at]) == (Some(0), Some(0)));
                prop_assert!(all_alike || merged.clean().is_none());
            }
            if let Some(text) = merged.clean() {
                let text = String::from_utf8(text).unwrap();
                let lines: Vec<&str> = text.lines().collect();
                let added = |side: &str| side.lines().filter(|line| line.starts_with(['h', 's'])).map(str::to_owned).collect::<Vec<_>>();
                for line in added(&of_host).iter().chain(&added(&of_sandbox)) {
                    prop_assert!(lines.contains(&line.as_str()), "{line} is lost in {text:?}");
                }
                for number in base.lines() {
                    let kept = [&of_host, &of_sandbox].iter().all(|side| side.lines().any(|line| line == number));
                    prop_assert_eq!(lines.contains(&number), kept);
                }
            } else {
                let text = String::from_utf8(merged.marked()).unwrap();
                for line in of_host.lines().chain(of_sandbox.lines()).filter(|line| line.starts_with(['h', 's'])) {
                    prop_assert!(text.lines().any(|other| other == line), "{line} is lost in {text:?}");
                }
            }
        }
    }
}
