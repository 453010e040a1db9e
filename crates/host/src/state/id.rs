//! Ids and names of sandboxes.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Digits and lower-case letters without those that look alike (Crockford).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of an id: 7 of seconds (35 bits), so that ids sort by age, and 5 of chance.
const ID_LENGTH: usize = 12;
const CHANCE_BITS: u32 = 25;
/// Longest name of a sandbox; it becomes a file name and part of messages.
const MAX_NAME: usize = 63;

/// A new id. Uniqueness is the state directory's: a directory of this name must be free.
pub(crate) fn new_id() -> String {
    let chance = u64::from(u32::from_le_bytes(random_bytes()));
    let bits = (unix_ms() / 1000) << CHANCE_BITS | (chance & ((1 << CHANCE_BITS) - 1));
    (0..ID_LENGTH)
        .rev()
        .map(|position| char::from(ALPHABET[usize::try_from(bits >> (5 * position) & 31).unwrap_or(0)]))
        .collect()
}

/// True for what [`new_id`] makes.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Tells the things of one state directory from those of others, where its path alone is left:
/// part of a hash of the directory that holds the sandboxes.
#[must_use]
pub fn owner_mark(sandboxes: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    const LENGTH: usize = 8;
    let mut mark = crate::audit::hash(sandboxes.as_os_str().as_bytes());
    mark.truncate(LENGTH);
    mark
}

/// Random bytes, also for nonces.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Without flags it fails only when interrupted, before the pool is ready at boot.
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(new) => filled += new,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    bytes
}

/// Milliseconds since 1970, for people; nothing is decided by it.
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the kernel writes into a file that is made now, in milliseconds since 1970, or less:
/// file systems stamp by the clock that moves in ticks (`inode_set_ctime_current`).
pub(crate) fn stamp_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let since = std::time::Duration::try_from(now).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Since the machine was started, time asleep included: nobody can set this clock.
pub(crate) fn boot_time() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    std::time::Duration::try_from(now).unwrap_or_default()
}

/// Passes names that are safe as file names, on terminals and in messages.
///
/// # Errors
/// Says which names are.
pub fn check_name(name: &str) -> Result<()> {
    let first_is_plain = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if first_is_plain && name.len() <= MAX_NAME && name.bytes().all(plain) && !is_id(name) {
        return Ok(());
    }
    Err(Error::BadName {
        name: name.to_owned(),
        longest: MAX_NAME,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_known_as_ids() {
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        assert!(is_id(&one) && is_id(&two), "{one} {two}");
    }

    #[test]
    fn an_owner_is_known_by_its_directory() {
        let mark = |path: &str| owner_mark(std::path::Path::new(path));
        assert_eq!(mark("/a/sandboxes"), mark("/a/sandboxes"));
        assert_ne!(mark("/a/sandboxes"), mark("/b/sandboxes"));
        assert_eq!(mark("/a").len(), 8);
    }

    #[test]
    fn names_that_could_be_paths_or_controls_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "-x",
            "a b",
            "a\n",
            "é",
            &"a".repeat(64),
            &new_id(),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "agent-1", "A.b_c", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
