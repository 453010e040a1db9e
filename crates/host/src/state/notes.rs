//! What the supervisor of a sandbox has to say while nobody listens.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use crate::outside::HostChanges;

/// In a sandbox's folder: a JSON string a line.
const FILE: &str = "notes";
/// Bytes that are read of it.
const MAX_BYTES: u64 = 256 << 10;

/// Adds a note to those in a sandbox's folder. Nothing depends on it: one that cannot be written,
/// because the sandbox is removed at this moment, is lost.
pub fn note(folder: &Path, text: &str) {
    let add = || {
        let mut line = serde_json::to_string(text)?;
        line.push('\n');
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(folder.join(FILE))?;
        file.write_all(line.as_bytes())
    };
    let _ = add();
}

/// The notes in a sandbox's folder, oldest first.
#[must_use]
pub fn notes(folder: &Path) -> Vec<String> {
    let Ok(file) = File::open(folder.join(FILE)) else {
        return Vec::new();
    };
    let lines = BufReader::new(file.take(MAX_BYTES)).lines();
    let whole = lines.map_while(std::result::Result::ok);
    whole
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect()
}

/// In a sandbox's folder, as JSON: what the host changed in the workspace.
const HOST_CHANGES: &str = "host-changes";
/// While it is written.
const HOST_CHANGES_DRAFT: &str = "host-changes.new";

/// Writes down what the host has changed in the workspace so far. It appears whole, and nothing depends on it.
pub fn note_host_changes(folder: &Path, changes: &HostChanges) {
    let write = || {
        let draft = folder.join(HOST_CHANGES_DRAFT);
        std::fs::write(&draft, serde_json::to_vec(changes)?)?;
        std::fs::rename(draft, folder.join(HOST_CHANGES))
    };
    let _ = write();
}

/// What the host has changed in the workspace, as far as that is noted in a sandbox's folder.
#[must_use]
pub fn host_changes(folder: &Path) -> Option<HostChanges> {
    let file = File::open(folder.join(HOST_CHANGES)).ok()?;
    serde_json::from_reader(file.take(MAX_BYTES)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_changed_comes_back_and_is_none_where_nothing_did() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(host_changes(folder.path()), None);
        let changes = HostChanges {
            count: 3,
            paths: vec!["a".to_owned()],
        };
        note_host_changes(folder.path(), &changes);
        assert_eq!(host_changes(folder.path()), Some(changes));
    }

    #[test]
    fn notes_come_back_in_order_and_half_a_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(notes(folder.path()).is_empty());
        note(folder.path(), "one\nof two lines");
        note(folder.path(), "two");
        let mut file = File::options()
            .append(true)
            .open(folder.path().join(FILE))
            .unwrap();
        file.write_all(b"\"cut").unwrap();
        assert_eq!(notes(folder.path()), ["one\nof two lines", "two"]);
        note(&folder.path().join("gone"), "lost");
    }
}
