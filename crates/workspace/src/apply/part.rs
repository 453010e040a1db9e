//! Some hunks of a file.

use crate::text::{Hunk, LineKind};

/// A text with some of the hunks in which it differs from another: those for which `chosen`
/// is true, in the order of the hunks.
#[must_use]
pub fn compose(before: &[u8], hunks: &[Hunk], chosen: &[bool]) -> Vec<u8> {
    let lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(lines.len());
    let mut composed = Vec::with_capacity(before.len());
    let mut next = 0;
    for (hunk, chosen) in hunks.iter().zip(chosen.iter().chain(std::iter::repeat(&false))) {
        if !chosen {
            continue;
        }
        let (start, end) = (at(hunk.before.start), at(hunk.before.end));
        composed.extend(lines.get(next..start).unwrap_or_default().concat());
        for line in hunk.lines.iter().filter(|line| line.kind != LineKind::Removed) {
            composed.extend_from_slice(&line.bytes);
        }
        next = end;
    }
    composed.extend(lines.get(next..).unwrap_or_default().concat());
    composed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hunks;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]{0,2}\n", 0..40).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn all_hunks_are_the_other_text_and_none_is_the_first(before in text(), after in text(), cut in any::<bool>()) {
            let before = if cut { before.trim_end() } else { &before };
            let found = hunks(before.as_bytes(), after.as_bytes());
            let with = |chosen: bool| compose(before.as_bytes(), &found, &vec![chosen; found.len()]);
            prop_assert_eq!(with(true), after.as_bytes());
            prop_assert_eq!(with(false), before.as_bytes());
        }
    }
}
