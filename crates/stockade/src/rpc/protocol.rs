//! What the lines hold. Fields may be added; names and meanings stay within a version.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stockade_host::Error;

use super::lines::MAX_LINE;
use crate::failure::Failure;

/// The version of this protocol.
const VERSION: u32 = 1;
/// Requests under way at once.
pub const MAX_REQUESTS: usize = 256;
/// Sandboxes at once that were created here.
pub const MAX_SANDBOXES: usize = 64;
/// Bytes of a file that are read at once.
pub const MAX_READ: u64 = 1 << 20;
/// Inputs that wait for one command.
pub const MAX_INPUTS: usize = 16;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Repeated in the answer; free again when that has come.
    pub id: u64,
    /// What to do.
    pub method: String,
    /// With what.
    #[serde(default)]
    pub params: Value,
}

/// A line to the other side.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The first line.
    Hello { hello: Value },
    /// Something happened in a request that goes on.
    Event {
        id: u64,
        event: &'static str,
        #[serde(flatten)]
        content: Value,
    },
    /// A request succeeded.
    Result { id: u64, result: Value },
    /// A request failed; without an id if the line was none.
    Failed { id: Option<u64>, error: Problem },
}

impl Answer {
    pub fn failed(id: Option<u64>, error: Problem) -> Self {
        Self::Failed { id, error }
    }
}

/// The first line.
pub fn hello() -> Answer {
    let limits = json!({
        "line_bytes": MAX_LINE,
        "requests": MAX_REQUESTS,
        "sandboxes": MAX_SANDBOXES,
        "read_bytes": MAX_READ,
        "inputs": MAX_INPUTS,
    });
    Answer::Hello {
        hello: json!({
            "protocol": "stockade-rpc",
            "version": VERSION,
            "stockade": env!("CARGO_PKG_VERSION"),
            "limits": limits,
        }),
    }
}

/// Why a request failed.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Why, for programs.
    pub kind: &'static str,
    /// The exit code of `stockade` for it.
    pub code: i32,
    /// What, why and what to do, for people.
    pub message: String,
}

/// The exit code for what Stockade itself could not do.
const FAILED: i32 = 125;

impl Problem {
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: FAILED,
            message: message.into(),
        }
    }

    /// The line cannot be understood.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new("bad-request", message)
    }

    pub fn busy(message: impl Into<String>) -> Self {
        Self::new("busy", message)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let kind = match &failure {
            Failure::Host(error) => kind(error.root()),
            _ => "failed",
        };
        Self {
            kind,
            code: failure.code(),
            message: failure.to_string(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Failure::Host(error).into()
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Refused(_) | Error::Impossible { .. } => "refused",
        Error::Command { .. } => "command",
        Error::File { .. } => "file",
        Error::NotFound { .. } => "not-found",
        Error::NameTaken { .. } => "name-taken",
        Error::Busy { .. } => "busy",
        Error::Declined { .. } => "declined",
        Error::LinkLost { .. } => "ended",
        _ => "failed",
    }
}

/// Reads parameters.
pub fn params<T: DeserializeOwned>(params: Value) -> Result<T, Problem> {
    let params = if params.is_null() { json!({}) } else { params };
    serde_json::from_value(params).map_err(|error| Problem::bad(format!("params: {error}")))
}

/// Bytes: as text where they are UTF-8, else in base64.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// The same, as a parameter.
#[derive(Debug, Deserialize)]
pub struct Content {
    text: Option<String>,
    base64: Option<String>,
}

impl Content {
    pub fn into_bytes(self) -> Result<Vec<u8>, Problem> {
        match (self.text, self.base64) {
            (Some(text), None) => Ok(text.into_bytes()),
            (None, Some(coded)) => STANDARD
                .decode(coded)
                .map_err(|error| Problem::bad(format!("base64: {error}"))),
            _ => Err(Problem::bad("write either `text` or `base64`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_way() {
        for original in [&b"text \xc3\xa9"[..], b"", b"\xff\x00half \xc3"] {
            let content: Content = serde_json::from_value(bytes(original)).expect("content");
            assert_eq!(content.into_bytes().expect("bytes"), original);
        }
    }

    #[test]
    fn content_is_given_once() {
        for wrong in [
            json!({}),
            json!({"text": "a", "base64": "YQ=="}),
            json!({"base64": "?"}),
        ] {
            let content: Content = serde_json::from_value(wrong).expect("a form");
            assert_eq!(content.into_bytes().expect_err("refused").kind, "bad-request");
        }
    }
}
