//! Sandboxes that run while something else is tried.

use crate::finished::{Finished, finish};
use crate::{Field, Verdict};

/// Runs Stockade to its end.
///
/// # Errors
/// It does not start, or does not end in time.
pub(super) fn stockade(field: &Field, words: &[&str]) -> Verdict<Finished> {
    let mut command = field.ground.command(field.wall.program());
    command.args(words);
    finish(command, Vec::new(), None)
}

/// A name that no sandbox of the user's has.
pub(super) fn own_name(field: &Field, what: &str) -> String {
    format!("probe-{what}-{}-{}", std::process::id(), field.ground.number())
}

/// Keeps a sandbox running with a command, while `act` executes others in it.
///
/// # Errors
/// It does not start, or what `act` says.
pub(super) fn beside<T>(
    field: &Field,
    what: &str,
    command: &[&str],
    act: impl FnOnce(&dyn Fn(&[&str]) -> Verdict<Finished>) -> Verdict<T>,
) -> Verdict<T> {
    // Before the workspace is copied, where it is.
    drop(field.ground.payload());
    let name = own_name(field, what);
    let name = name.as_str();
    let flags = field.wall.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = [&["run", "-q", "-d", "--name", name], &flags[..], &["--"], command].concat();
    stockade(field, &start)?.expect(0)?;
    let exec = |words: &[&str]| stockade(field, &[&["exec", name], words].concat());
    let tried = act(&exec);
    let removed = stockade(field, &["rm", "--force", name])?.expect(0);
    let done = tried?;
    removed.map(|_| done)
}
