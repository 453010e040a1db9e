//! What commands inside may ask the supervisor for: checkpoints of the changes, and nothing else.
//! A command asks the guest with a [`Request`], the guest passes it on as an [`Ask`], and the
//! [`Answer`] goes the same way back.

use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::message::{Message, at_most};

/// The variable that tells commands where to ask.
pub const ASKS_VARIABLE: &str = "STOCKADE_ASKS";

/// Bytes of a checkpoint's name, at most, where it is given from inside.
pub const MAX_ASKED_NAME: usize = 64;
/// Checkpoints in one answer, at most.
pub const MAX_LISTED: usize = 32;
/// Bytes of a refusal, at most.
pub const MAX_REFUSAL: usize = 512;
/// Asks of one sandbox under way at once, at most.
pub const MAX_ASKS: usize = 4;

/// One ask. The guest numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AskId(pub u32);

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// A checkpoint of the changes as they are.
    Checkpoint {
        /// What to call it.
        name: Option<String>,
    },
    /// The checkpoints that were asked for from inside.
    List,
}

/// From a command to the guest: one write, so that several do not mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where the answer goes: the name of a pipe.
    pub token: [u8; 8],
    /// What is asked for.
    pub what: Asked,
}

/// From the guest to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Its number.
    pub id: AskId,
    /// What is asked for.
    pub what: Asked,
}

/// A checkpoint, as it is told inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedCheckpoint {
    /// Its number.
    pub number: u64,
    /// What it was called.
    pub name: Option<String>,
    /// How long ago it was taken, in seconds.
    pub age_s: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The checkpoint that was taken.
    Taken(AskedCheckpoint),
    /// The checkpoints, oldest first.
    Listed(Vec<AskedCheckpoint>),
    /// Nothing was done, and why.
    Refused(String),
}

impl Asked {
    pub(crate) fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Checkpoint { name: Some(name) } => check_name(name),
            Self::Checkpoint { name: None } | Self::List => Ok(()),
        }
    }
}

impl Answer {
    pub(crate) fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Taken(one) => one.validate(),
            Self::Listed(all) => {
                at_most("the checkpoints of an answer", all.len(), MAX_LISTED)?;
                all.iter().try_for_each(AskedCheckpoint::validate)
            }
            Self::Refused(text) => at_most("the text of a refusal", text.len(), MAX_REFUSAL),
        }
    }
}

impl AskedCheckpoint {
    fn validate(&self) -> Result<(), WireError> {
        self.name.as_deref().map_or(Ok(()), check_name)
    }
}

/// It is shown to people on the host, so it has no letters that a terminal obeys.
fn check_name(name: &str) -> Result<(), WireError> {
    at_most("the name of a checkpoint", name.len(), MAX_ASKED_NAME)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(WireError::PartInvalid {
            part: "the name of a checkpoint",
            why: "it is empty or holds control characters",
        });
    }
    Ok(())
}

impl Message for Request {
    const MAX_FRAME: usize = 256;

    fn validate(&self) -> Result<(), WireError> {
        self.what.validate()
    }
}

/// The size of a write that pipes do not cut.
impl Message for Answer {
    const MAX_FRAME: usize = 4096 - crate::limits::LENGTH_PREFIX;

    fn validate(&self) -> Result<(), WireError> {
        Self::validate(self)
    }
}
