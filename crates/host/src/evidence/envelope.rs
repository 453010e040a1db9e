//! The statement with its signature: DSSE, version 1
//! (<https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>), so that other tools can read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{PublicKey, SigningKey};
use super::{EvidenceError, Statement};

/// What in-toto calls its statements.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// A larger file is not read: evidence has some tens of kilobytes.
pub const MAX_ENVELOPE_BYTES: u64 = 16 << 20;
/// Signatures that are looked at.
const MAX_SIGNATURES: usize = 16;

/// A signed statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a statement.
    ///
    /// # Errors
    /// It is too large to be written.
    pub fn seal(statement: &Statement, key: &SigningKey) -> Result<Self, EvidenceError> {
        let payload = statement.bytes()?;
        Ok(Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![Signature {
                keyid: key.public().id(),
                sig: STANDARD.encode(key.sign(&encoding(PAYLOAD_TYPE, &payload))),
            }],
            payload: STANDARD.encode(&payload),
        })
    }

    /// As a file.
    ///
    /// # Errors
    /// It is too large to be written.
    pub fn bytes(&self) -> Result<Vec<u8>, EvidenceError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| malformed(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// From a file, which may be anybody's.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, EvidenceError> {
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
    }

    /// What it says, if one of these keys signed it; and which.
    ///
    /// # Errors
    /// None did, or it says something else than what a run was.
    pub fn open(&self, trusted: &[PublicKey]) -> Result<(Statement, String), EvidenceError> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(malformed(format!("its payload is {}", self.payload_type)));
        }
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(malformed("it has too many signatures"));
        }
        let payload = STANDARD
            .decode(&self.payload)
            .map_err(|error| malformed(error.to_string()))?;
        let signed = encoding(&self.payload_type, &payload);
        let mut is_known = false;
        for signature in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.id() == signature.keyid) else {
                continue;
            };
            is_known = true;
            let bytes = STANDARD
                .decode(&signature.sig)
                .map_err(|error| malformed(error.to_string()))?;
            if key.has_signed(&signed, &bytes) {
                return Ok((Statement::read(&payload)?, key.id()));
            }
        }
        if is_known {
            return Err(EvidenceError::Forged);
        }
        let keys = self
            .signatures
            .iter()
            .map(|it| it.keyid.escape_debug().to_string());
        Err(EvidenceError::Untrusted {
            keys: keys.collect::<Vec<_>>().join(", "),
        })
    }
}

/// What is signed: the type and the payload, each with its length (PAE).
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

fn malformed(why: impl Into<String>) -> EvidenceError {
    EvidenceError::Malformed { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_as_the_specification_has_it() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(
            encoding("http://example.com/HelloWorld", b"hello world"),
            expected
        );
    }
}
