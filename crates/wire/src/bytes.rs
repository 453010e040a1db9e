//! Byte strings whose form is checked when they are made and when they are decoded.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::WireError;
use crate::limits::{MAX_ARGUMENT_BYTES, MAX_PATH};

/// A list of byte strings without NUL: arguments or variables. It is kept as one block in
/// which each string ends with NUL, so that decoding a hostile list costs no more memory
/// than its frame, and the kernel can be given pointers into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteStrings {
    block: Vec<u8>,
}

impl ByteStrings {
    /// Collects strings.
    ///
    /// # Errors
    /// If one holds NUL or all together are too long.
    pub fn new<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Result<Self, WireError> {
        let mut all = Self::default();
        for string in strings {
            all.push(string.as_ref())?;
        }
        Ok(all)
    }

    /// Adds a string.
    ///
    /// # Errors
    /// If it holds NUL or the list becomes too long.
    pub fn push(&mut self, string: &[u8]) -> Result<(), WireError> {
        if string.contains(&0) {
            return Err(WireError::PartInvalid {
                part: "an argument or variable",
                why: "it holds a NUL byte",
            });
        }
        let length = self.block.len().saturating_add(string.len()).saturating_add(1);
        if length > MAX_ARGUMENT_BYTES {
            return Err(WireError::PartTooLong {
                part: "the arguments and variables",
                found: length,
                limit: MAX_ARGUMENT_BYTES,
            });
        }
        self.block.extend_from_slice(string);
        self.block.push(0);
        Ok(())
    }

    /// The strings, each without its NUL.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.block
            .split_inclusive(|byte| *byte == 0)
            .map(|string| string.strip_suffix(&[0]).unwrap_or(string))
    }

    /// All strings in one block, each ended by NUL.
    #[must_use]
    pub fn as_block(&self) -> &[u8] {
        &self.block
    }

    /// True if there is no string.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Bytes of all strings with their NULs.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.block.len()
    }
}

impl Serialize for ByteStrings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.block)
    }
}

impl<'de> Deserialize<'de> for ByteStrings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let block: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        if block.len() > MAX_ARGUMENT_BYTES {
            return Err(D::Error::custom("the list of strings is too long"));
        }
        if block.last().is_some_and(|last| *last != 0) {
            return Err(D::Error::custom("the last string has no end"));
        }
        Ok(Self { block })
    }
}

/// An absolute path inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestPath(Vec<u8>);

impl GuestPath {
    /// Checks and takes a path.
    ///
    /// # Errors
    /// If it is not absolute, holds NUL or is too long.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, WireError> {
        let path = path.into();
        if path.len() > MAX_PATH {
            return Err(WireError::PartTooLong {
                part: "a path",
                found: path.len(),
                limit: MAX_PATH,
            });
        }
        if path.first() != Some(&b'/') {
            return Err(WireError::PartInvalid {
                part: "a path",
                why: "it does not begin with /",
            });
        }
        if path.contains(&0) {
            return Err(WireError::PartInvalid {
                part: "a path",
                why: "it holds a NUL byte",
            });
        }
        Ok(Self(path))
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for GuestPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for GuestPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        Self::new(path).map_err(D::Error::custom)
    }
}

/// Decodes a list of at most `MAX` elements. Without it a short frame could announce, and
/// make the decoder keep, far more elements than it has bytes.
pub fn bounded_list<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<T, const MAX: usize>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(out, "a list of at most {MAX} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::custom("the list is too long"));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, MAX>(std::marker::PhantomData))
}
