//! Tries of what this kernel allows this process. A version number or a sysctl says what should
//! work; these say what does. Nothing stays of a try: each happens in a process that ends with it.

mod files;
pub mod kvm;
mod namespaces;
pub(crate) mod sys;

use std::io;

use serde::{Deserialize, Serialize};

pub use files::{idmapped_mount, overlay};
pub use namespaces::{NAMESPACES, namespaces};

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tried {
    /// It was done and had its effect.
    Works,
    /// The kernel refused it, or it had not its effect.
    Refused {
        /// What was being done.
        step: String,
        /// What the kernel said.
        cause: String,
    },
    /// It could not be tried; nothing is known.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Tried {
    /// The kernel refused a step.
    fn refused(step: &str, error: impl Into<io::Error>) -> Self {
        Self::Refused {
            step: step.to_owned(),
            cause: error.into().to_string(),
        }
    }

    /// Nothing could be tried.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// True if it was seen to work.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self, Self::Works)
    }
}
