//! One record as a line: written, and read back from bytes that may be anybody's.

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Version of the lines.
pub const VERSION: u32 = 1;

/// A longer line is not ours: a receipt has some kilobytes.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// Digits of a hash.
const HASH_LENGTH: usize = 64;

/// A hash as text.
pub(crate) fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(HASH_LENGTH), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        })
}

/// What stands in the place of the previous line's hash in the first line.
pub(crate) fn genesis(sandbox: &str) -> String {
    hash(format!("stockade audit {VERSION} {sandbox}").as_bytes())
}

/// Where a sandbox's chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the next record.
    pub seq: u64,
    /// The hash of the last one.
    pub hash: String,
}

impl Head {
    /// Before the first record.
    pub fn new(sandbox: &str) -> Self {
        Self {
            seq: 0,
            hash: genesis(sandbox),
        }
    }

    /// Appends the line of an event to `out`, and moves on. `event` is JSON, `sandbox` an id.
    pub fn write(&mut self, sandbox: &str, at_ms: u64, event: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(
            format!(
                "{{\"v\":{VERSION},\"sandbox\":\"{sandbox}\",\"seq\":{},\"at_ms\":{at_ms},\"event\":",
                self.seq
            )
            .as_bytes(),
        );
        out.extend_from_slice(event);
        out.extend_from_slice(b",\"prev\":\"");
        out.extend_from_slice(self.hash.as_bytes());
        out.extend_from_slice(b"\"}");
        let digest = hash(out.get(start..).unwrap_or_default());
        out.pop(); // the closing brace comes after the hash
        out.extend_from_slice(b",\"hash\":\"");
        out.extend_from_slice(digest.as_bytes());
        out.extend_from_slice(b"\"}\n");
        self.seq += 1;
        self.hash = digest;
    }
}

/// A record as it was found. That it is one says nothing of its place in a chain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    v: u32,
    /// The sandbox.
    pub sandbox: String,
    /// Its number among the sandbox's records, from 0.
    pub seq: u64,
    /// Milliseconds since 1970, as the clock stood.
    pub at_ms: u64,
    /// What happened: an object with its `kind`.
    pub event: serde_json::Map<String, serde_json::Value>,
    /// The hash of the sandbox's record before.
    pub prev: String,
    /// The hash of all that stands before it.
    pub hash: String,
}

impl Entry {
    /// Reads a line, without its end. Its hash was right.
    ///
    /// # Errors
    /// Says why it is no record.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let entry: Self =
            serde_json::from_slice(line).map_err(|error| format!("it is no audit record: {error}"))?;
        if entry.v != VERSION {
            return Err(format!(
                "it has version {}, and this Stockade reads {VERSION}",
                entry.v
            ));
        }
        if !crate::state::is_id(&entry.sandbox) {
            return Err("it names no sandbox".to_owned());
        }
        let tail = format!(",\"hash\":\"{}\"}}", entry.hash);
        let body = line
            .strip_suffix(tail.as_bytes())
            .ok_or("its hash is not its last field")?;
        let mut hashed = body.to_vec();
        hashed.push(b'}');
        if hash(&hashed) != entry.hash {
            return Err("it was edited: its hash is another".to_owned());
        }
        Ok(entry)
    }

    /// What kind of event it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.event
            .get("kind")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("unknown")
    }

    /// A text of the event.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.event.get(field).and_then(serde_json::Value::as_str)
    }
}
