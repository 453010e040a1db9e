//! Signed evidence of a run: what was enforced, and how that was seen, for somebody who was not there.
//!
//! ```text
//! statement   what is said, as an in-toto statement
//! envelope    the statement with its signature, as DSSE has it
//! key         the key that signs on this machine
//! demand      what a reader may require of it
//! ```
//!
//! A signature says that whoever holds the key said this. The key lies in the state directory, which no sandbox sees;
//! a program outside that can read it can sign what it likes.

mod demand;
mod envelope;
mod key;
mod statement;
#[cfg(test)]
mod tests;

pub use demand::{Demand, DemandError, Unmet};
pub use envelope::{Envelope, MAX_ENVELOPE_BYTES};
pub use key::{PublicKey, SigningKey};
pub use statement::{
    Changes, Control, EVIDENCE_VERSION, Host, PREDICATE_TYPE, Policy, ProbeResult, Run, Said, Statement,
    Subject,
};

use std::path::PathBuf;

/// Why there is no evidence, or why none is believed.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The key is no key of ours, or others could read it.
    #[error(
        "cannot use the signing key {path}: {why}; remove it, and a new one is made: what it signed is believed no more"
    )]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What was given as a public key is none.
    #[error(
        "{path} holds no public key: {why}; write one with `stockade verify --show-key` where the run was"
    )]
    PublicKey {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {path}: {cause}")]
    File {
        /// Read or write.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// What was read is no evidence.
    #[error("this is no evidence of a run: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// Nobody who is trusted signed it.
    #[error(
        "the evidence is not signed by a key that is trusted here: it names {keys}; give the public key of the machine that \
         made it with --key"
    )]
    Untrusted {
        /// The key that it names.
        keys: String,
    },
    /// It was changed after it was signed.
    #[error(
        "the signature does not fit: the evidence was changed, or is of another key with this name; do not use it"
    )]
    Forged,
}
