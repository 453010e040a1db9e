//! The tree speaks of the product alone: nothing in it belongs to one machine.
//!
//! What must not appear is found at run time (where this checkout and its neighbours
//! lie), so the list itself reveals nothing.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::Findings;
use crate::tree::Tree;

/// Directories in which anybody's files lie: their entries are no secret of a machine.
const COMMON_PARENTS: [&str; 7] = ["/tmp", "/var/tmp", "/home", "/root", "/usr/src", "/srv", "/opt"];

/// The only place that packages may come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Lines that a merge left behind start with these, repeated to seven.
const CONFLICT: [char; 3] = ['<', '>', '|'];

/// Looks at every file of the tree.
pub fn check(tree: &Tree) -> Result<Findings> {
    let files = tree.files()?;
    let paths = machine_paths(&tree.root);
    let mut problems = Vec::new();
    for file in &files {
        let bytes = std::fs::read(tree.root.join(file))?;
        let text = String::from_utf8_lossy(&bytes);
        for (index, line) in text.lines().enumerate() {
            if let Some(problem) = problem_in(line, &paths) {
                problems.push(format!("{}:{}: {problem}", file.display(), index + 1));
            }
        }
    }
    problems.extend(foreign_sources(&tree.read(Path::new("Cargo.lock"))?));
    Ok(Findings {
        looked_at: format!("{} files name no machine", files.len()),
        problems,
    })
}

/// Where this checkout lies, and its neighbours.
fn machine_paths(root: &Path) -> Vec<String> {
    let Some(parent) = root.parent() else {
        return Vec::new();
    };
    if parent == Path::new("/") {
        // A name like `/src` says nothing about a machine, and texts use it as an example.
        return Vec::new();
    }
    if COMMON_PARENTS.iter().any(|common| parent == Path::new(common)) {
        return vec![root.display().to_string()];
    }
    let neighbours = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = neighbours.filter(|path| path.is_dir()).collect();
    paths.push(root.to_path_buf());
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn problem_in(line: &str, paths: &[String]) -> Option<String> {
    if let Some(path) = paths.iter().find(|path| line.contains(path.as_str())) {
        return Some(format!(
            "names a directory of this machine ({path}): use a neutral path"
        ));
    }
    let conflict = CONFLICT
        .iter()
        .any(|mark| line.starts_with(&mark.to_string().repeat(7)));
    conflict.then(|| "a merge conflict is not resolved".to_owned())
}

fn foreign_sources(lock: &str) -> Vec<String> {
    lock.lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| source.trim_matches('"') != CRATES_IO)
        .map(|source| format!("Cargo.lock: {source} is not crates.io: others cannot build from it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_machine_path() {
        let paths = vec!["/build/place/tree".to_owned()];
        assert!(problem_in("see /build/place/tree/x.rs", &paths).is_some());
        assert!(problem_in("see /build/elsewhere", &paths).is_none());
    }

    #[test]
    fn finds_a_conflict_but_no_heading() {
        assert!(problem_in(&"<".repeat(7), &[]).is_some());
        assert!(problem_in("=======", &[]).is_none());
    }

    #[test]
    fn a_foreign_registry_is_told() {
        let own = format!("source = \"{CRATES_IO}\"");
        assert!(foreign_sources(&own).is_empty());
        assert_eq!(
            foreign_sources("source = \"registry+https://mirror.example/index\"").len(),
            1
        );
    }

    #[test]
    fn neighbours_count_unless_the_parent_is_common() {
        let place = tempfile::tempdir().unwrap();
        let (tree, other) = (place.path().join("tree"), place.path().join("other"));
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        assert!(machine_paths(&tree).contains(&other.display().to_string()));
        assert_eq!(
            machine_paths(Path::new("/tmp/tree")),
            vec!["/tmp/tree".to_owned()]
        );
        assert!(machine_paths(Path::new("/tree")).is_empty());
    }
}
