//! Paths in files of ours: JSON strings are Unicode and names are not.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::change::{lossless, lossless_path};

pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    lossless_path(path, to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = parse(&text).ok_or_else(|| D::Error::custom("a name with a broken escape"))?;
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

/// The reverse of [`lossless`]; none for what it does not write.
fn parse(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(after) = escape.strip_prefix("\\\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = escape.strip_prefix("\\x")?;
            bytes.push(u8::from_str_radix(digits.get(..2)?, 16).ok()?);
            rest = digits.get(2..)?;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// A path for a person: no byte of it reaches a terminal raw, and its ends are seen.
pub(crate) fn shown(path: &Path) -> String {
    let text = lossless(path.as_os_str());
    if text
        .chars()
        .any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2066}')
    {
        return text.escape_debug().to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_comes_back(bytes in proptest::collection::vec(1..=255_u8, 0..40)) {
            let name = OsString::from_vec(bytes.clone());
            prop_assert_eq!(parse(&lossless(&name)), Some(bytes));
        }
    }

    #[test]
    fn a_broken_escape_is_no_name() {
        for text in ["\\", "\\x", "\\xz1", "\\q", "\\xé"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
