//! Keys that leave a command without ending it.

use std::sync::Arc;

use tokio::sync::Notify;

/// Longest sequence.
const MAX_KEYS: usize = 16;

/// Keys that are typed one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(Vec<u8>);

/// A text that is no sequence of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no sequence of keys: write letters, or ctrl- and a letter, with commas between: ctrl-p,ctrl-q"
)]
pub struct KeysError(String);

impl Default for Keys {
    fn default() -> Self {
        Self(vec![control(b'p'), control(b'q')])
    }
}

impl std::str::FromStr for Keys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        keys.filter(|keys| keys.len() <= MAX_KEYS)
            .map(Self)
            .ok_or_else(|| KeysError(text.chars().take(64).collect()))
    }
}

fn key(text: &str) -> Option<u8> {
    let letter = |text: &str| match text.as_bytes() {
        [one] if one.is_ascii_graphic() => Some(*one),
        _ => None,
    };
    match text.strip_prefix("ctrl-") {
        Some(name) => letter(name)
            .filter(|key| {
                matches!(
                    key.to_ascii_lowercase(),
                    b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_'
                )
            })
            .map(control),
        None => letter(text),
    }
}

fn control(key: u8) -> u8 {
    key.to_ascii_uppercase() & 0x1f
}

/// Watches what is typed for the keys.
pub(super) struct KeyWatch {
    keys: Keys,
    /// So many of them were typed last, and are held back.
    typed: usize,
    matched: Arc<Notify>,
    is_matched: bool,
}

impl KeyWatch {
    /// Tells `matched` when the keys were typed.
    pub fn new(keys: Keys, matched: Arc<Notify>) -> Self {
        Self {
            keys,
            typed: 0,
            matched,
            is_matched: false,
        }
    }

    pub fn held(&self) -> usize {
        self.typed
    }

    pub fn matched(&self) -> bool {
        self.is_matched
    }

    /// What of the typed bytes goes on to the command.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len() + self.typed);
        for byte in bytes {
            self.take(*byte, &mut passed);
            if self.typed == self.keys.0.len() {
                self.is_matched = true;
                self.matched.notify_one();
                return passed;
            }
        }
        passed
    }

    fn take(&mut self, byte: u8, passed: &mut Vec<u8>) {
        let keys = &self.keys.0;
        // The longest end of what was typed that is a begin of the keys stays held back.
        let mut typed: Vec<u8> = keys[..self.typed].to_vec();
        typed.push(byte);
        let held = (0..=typed.len().min(keys.len()))
            .rev()
            .find(|count| typed.ends_with(&keys[..*count]))
            .unwrap_or(0);
        passed.extend_from_slice(&typed[..typed.len() - held]);
        self.typed = held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(keys: &str) -> KeyWatch {
        KeyWatch::new(keys.parse().unwrap(), Arc::default())
    }

    #[test]
    fn keys_are_written_as_people_say_them() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(Keys::default()));
        assert_eq!("ctrl-],x".parse(), Ok(Keys(vec![0x1d, b'x'])));
        for wrong in ["", "ctrl-", "alt-x", "ctrl-p,", "é", "ctrl-1"] {
            let error = wrong.parse::<Keys>().unwrap_err().to_string();
            assert!(error.contains("ctrl-p,ctrl-q"), "{error}");
        }
    }

    #[test]
    fn all_else_passes_in_order() {
        let mut keys = watch("a,a,b");
        assert_eq!(keys.pass(b"xaay"), b"xaay");
        assert_eq!(keys.pass(b"aaa"), b"a");
        assert_eq!(keys.pass(b"c"), b"aac");
        assert!(!keys.matched());
    }

    #[test]
    fn the_keys_are_found_across_reads_and_do_not_pass() {
        let mut keys = watch("ctrl-p,ctrl-q");
        assert_eq!(keys.pass(b"ls\x10"), b"ls");
        assert!(!keys.matched());
        assert_eq!(keys.pass(b"\x11ls"), b"");
        assert!(keys.matched());
    }
}
