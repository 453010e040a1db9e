//! The greeting.

use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::limits::PROTOCOL_VERSION;

/// First message of each side on each link. Its layout never changes, so that any two
/// versions can tell each other that they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version of the sender.
    pub version: u32,
    /// How often this sandbox has been started from a snapshot. The host decides it; a
    /// guest that sees a higher one than its own has been cloned and takes a new identity.
    pub generation: u64,
    /// A random name of the sending process. A guest whose nonce has changed is another
    /// process and has none of the old streams.
    pub nonce: [u8; 16],
}

impl Hello {
    /// A greeting in this program's version.
    #[must_use]
    pub fn new(generation: u64, nonce: [u8; 16]) -> Self {
        Self {
            version: PROTOCOL_VERSION,
            generation,
            nonce,
        }
    }

    /// Passes if both sides speak the same version.
    ///
    /// # Errors
    /// [`WireError::Version`] otherwise.
    pub fn check(&self) -> Result<(), WireError> {
        if self.version == PROTOCOL_VERSION {
            Ok(())
        } else {
            Err(WireError::Version {
                ours: PROTOCOL_VERSION,
                theirs: self.version,
            })
        }
    }
}
