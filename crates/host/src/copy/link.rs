//! Links that stay within what is copied.

/// True if a link with this target, `depth` directories below the top of what is copied, leads
/// nowhere else, whatever other such links it passes.
///
/// Beginning with the real directory that holds the link, `..` leads at most up to the top; each
/// further name leads down, or through a link for which the same holds. A `..` after a name could
/// leave by way of a link, and is refused.
pub(super) fn stays_within(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return false;
    }
    let mut up = 0;
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return false,
            b".." => up += 1,
            _ => named = true,
        }
    }
    up <= depth
}
