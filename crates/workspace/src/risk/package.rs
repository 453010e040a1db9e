//! What a `package.json` makes npm and its kin run. Most changes of one add a dependency and
//! run nothing new.

use std::io::Read;

use serde_json::Value;

use crate::change::Change;
use crate::trees::{Side, Trees};

/// More than any real one has.
const MAX_BYTES: u64 = 4 << 20;
/// Parts of it that name commands.
const LOUD: [&str; 7] = [
    "scripts",
    "bin",
    "husky",
    "lint-staged",
    "simple-git-hooks",
    "gypfile",
    "packageManager",
];

/// True if the commands are others than before, or cannot be read.
pub(super) fn runs_other_commands(trees: &Trees, change: &Change) -> bool {
    let before = match change.before {
        Some(_) => read(trees, Side::Before, change),
        None => Some(Value::Null),
    };
    match (before, read(trees, Side::After, change)) {
        (Some(before), Some(after)) => LOUD.iter().any(|part| before.get(part) != after.get(part)),
        _ => true,
    }
}

fn read(trees: &Trees, side: Side, change: &Change) -> Option<Value> {
    let mut bytes = Vec::new();
    let file = trees.file(side, &change.path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
