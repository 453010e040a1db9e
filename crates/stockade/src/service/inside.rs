//! `stockade checkpoint` where it is called inside a sandbox, for example by a hook of an agent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use stockade_guest::{ASKS_VARIABLE, Answer, Asked, AskedCheckpoint, ask};

use super::Result;
use crate::failure::Failure;

/// Set in every sandbox.
const INSIDE_VARIABLE: &str = "STOCKADE";

/// Where this process may ask for checkpoints, if it is in a sandbox that takes them.
#[must_use]
pub fn place() -> Option<PathBuf> {
    std::env::var_os(ASKS_VARIABLE)
        .filter(|place: &OsString| !place.is_empty())
        .map(PathBuf::from)
}

/// This process is in a sandbox that takes no checkpoints: there is nothing else that it could find.
#[must_use]
pub fn is_deaf() -> bool {
    place().is_none() && std::env::var_os(INSIDE_VARIABLE).is_some()
}

/// Asks for a checkpoint.
///
/// # Errors
/// [`Failure::Asked`] with the reason.
pub fn take(place: &Path, name: Option<String>) -> Result<AskedCheckpoint> {
    match asked(place, Asked::Checkpoint { name })? {
        Answer::Taken(taken) => Ok(taken),
        _ => Err(strange()),
    }
}

/// The checkpoints that were asked for inside, oldest first.
///
/// # Errors
/// [`Failure::Asked`] with the reason.
pub fn list(place: &Path) -> Result<Vec<AskedCheckpoint>> {
    match asked(place, Asked::List)? {
        Answer::Listed(all) => Ok(all),
        _ => Err(strange()),
    }
}

fn asked(place: &Path, what: Asked) -> Result<Answer> {
    match ask(place, what) {
        Ok(Answer::Refused(why)) => Err(Failure::Asked(why)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Failure::Asked(error.to_string())),
    }
}

fn strange() -> Failure {
    Failure::Asked("the answer is to another question".to_owned())
}
