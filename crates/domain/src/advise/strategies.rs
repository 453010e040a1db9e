//! The ways to isolate, as the field describes them. They are data.

use serde::{Deserialize, Serialize};

use super::threat::{Ability, System};
use crate::driver::Level;

/// The table that comes with the program.
const TABLE: &str = include_str!("strategies.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    strategy: Vec<Strategy>,
}

/// One way to isolate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// What users write after `--driver`.
    pub name: String,
    /// What is still shared with the host.
    pub level: Level,
    /// One line.
    pub about: String,
    /// Where it works without another machine.
    pub systems: Vec<System>,
    /// From nothing to the first output, as the field claims or as measured, in milliseconds.
    pub start_ms: u64,
    /// What one idle sandbox takes, in MiB.
    pub memory_mib: u64,
    /// To set up and to run: 0 to 3.
    pub effort: u32,
    /// It costs money by the hour.
    #[serde(default)]
    pub paid: bool,
    /// Special abilities.
    pub gives: Vec<Ability>,
    /// It is of use to nothing else.
    #[serde(default)]
    pub only_for: Vec<Ability>,
    /// What stays open on it.
    pub open: Vec<String>,
}

/// Every one of them, the lightest of a level first.
///
/// # Errors
/// The table has a mistake; a test reads it.
pub fn all() -> Result<Vec<Strategy>, toml::de::Error> {
    toml::from_str::<Table>(TABLE).map(|table| table.strategy)
}
