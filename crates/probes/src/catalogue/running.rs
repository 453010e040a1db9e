//! Sandboxes that run while something else is tried.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::finished::{Finished, PATIENCE, finish};
use crate::{Field, Verdict, ensure_sound};

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

/// A sandbox that runs.
pub(super) struct Running<'a> {
    field: &'a Field<'a>,
    name: &'a str,
}

impl Running<'_> {
    /// Executes a command in it.
    ///
    /// # Errors
    /// It does not start, or does not end in time.
    pub(super) fn exec(&self, words: &[&str]) -> Verdict<Finished> {
        stockade(self.field, &[&["exec", self.name], words].concat())
    }

    /// Waits until something has been written to a file of its workspace.
    ///
    /// # Errors
    /// That does not come.
    pub(super) fn until_written(&self, file: &str) -> Verdict {
        let wait = "until [ -s \"$1\" ]; do sleep 0.02; done";
        self.exec(&["sh", "-c", wait, "sh", file])?.expect(0).map(drop)
    }

    /// Everything that is told of it.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn inspect(&self) -> Verdict<Value> {
        let told = stockade(self.field, &["inspect", self.name, "--json"])?.expect(0)?;
        Ok(serde_json::from_slice(&told.stdout)?)
    }
}

/// Keeps a sandbox running with a command, while `act` executes others in it.
///
/// # Errors
/// It does not start, or what `act` says.
pub(super) fn beside<T>(
    field: &Field,
    what: &str,
    more: &[&str],
    command: &[&str],
    act: impl FnOnce(&Running) -> Verdict<T>,
) -> Verdict<T> {
    // Before the workspace is copied, where it is.
    drop(field.ground.payload());
    let name = own_name(field, what);
    let name = name.as_str();
    let flags = field.wall.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = [
        &["run", "-q", "-d", "--name", name],
        &flags[..],
        more,
        &["--"],
        command,
    ]
    .concat();
    stockade(field, &start)?.expect(0)?;
    let tried = act(&Running { field, name });
    let removed = stockade(field, &["rm", "--force", name])?.expect(0);
    let done = tried?;
    removed.map(|_| done)
}

/// Waits until something has been written to a file of the host.
///
/// # Errors
/// That does not come.
pub(super) fn until_there(path: &Path) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    while std::fs::read(path).is_ok_and(|text| text.is_empty()) || !path.exists() {
        ensure_sound!(Instant::now() < deadline, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
