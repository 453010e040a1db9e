//! What is kept read-only where a project is written in place: the table that marks changes, as paths
//! that exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Risk, matches, plain, table};

/// What exists in a project and makes something run on the host later, without being meant to run.
/// Build files are not among them, because writing them is the work, nor what lies in directories
/// below. Relative to the project, with the letters that are there.
#[must_use]
pub fn protected(project: &Path) -> Vec<PathBuf> {
    let top = names(project);
    let is_meant = |risk: Risk| risk.is_unasked() && risk != Risk::Ci;
    let files = table::FILES.iter().filter(|(_, risk)| is_meant(*risk));
    let patterns = files
        .map(|(pattern, _)| *pattern)
        .chain(table::GIT_PROTECTED.iter().copied());
    let mut found = Vec::new();
    for pattern in patterns {
        expand(project, Path::new(""), &top, pattern, &mut found);
    }
    // In a linked worktree and in a submodule it is a file, which says where all that is.
    if project.join(".git").is_file() {
        found.push(".git".into());
    }
    found.sort();
    found.dedup();
    found
}

/// The best known of what could be made, because it does not exist: nothing can be mounted where
/// nothing is.
#[must_use]
pub fn unprotected(project: &Path) -> Vec<&'static str> {
    let top = names(project);
    let is_absent = |pattern: &&&str| {
        let mut found = Vec::new();
        expand(project, Path::new(""), &top, pattern, &mut found);
        found.is_empty()
    };
    table::WELL_KNOWN.iter().filter(is_absent).copied().collect()
}

/// What a directory holds, as it is compared and as it is. One that cannot be read holds nothing
/// that could be found, nor shown inside.
fn names(directory: &Path) -> Vec<(String, OsString)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names.map(|name| (plain(&name.to_string_lossy()), name)).collect()
}

fn expand(
    project: &Path,
    at: &Path,
    names_here: &[(String, OsString)],
    pattern: &str,
    found: &mut Vec<PathBuf>,
) {
    let (wanted, rest) = match pattern.split_once('/') {
        Some((wanted, rest)) => (wanted, Some(rest)),
        None => (pattern, None),
    };
    for (plain, name) in names_here {
        if !matches(wanted, std::slice::from_ref(plain)) {
            continue;
        }
        let path = at.join(name);
        match rest {
            None => found.push(path),
            Some(rest) => expand(project, &path, &names(&project.join(&path)), rest, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_of_the_table_is_protected_and_the_rest_is_told() {
        let project = tempfile::tempdir().unwrap();
        for directory in [
            ".git/hooks",
            ".git/modules/sub/hooks",
            ".VSCode",
            "sub/.idea",
            ".config/fish",
        ] {
            std::fs::create_dir_all(project.path().join(directory)).unwrap();
        }
        for file in [
            ".git/config",
            ".mcp.json",
            "Makefile",
            "build.rs",
            "all.code-workspace",
        ] {
            std::fs::write(project.path().join(file), "").unwrap();
        }
        let expected = [
            ".VSCode",
            ".config/fish",
            ".git/config",
            ".git/hooks",
            ".git/modules/sub/hooks",
            ".mcp.json",
            "all.code-workspace",
        ];
        assert_eq!(protected(project.path()), expected.map(PathBuf::from));
        let absent = unprotected(project.path());
        assert!(
            absent.contains(&".claude") && absent.contains(&".git/commondir"),
            "{absent:?}"
        );
        assert!(
            !absent.contains(&".vscode") && !absent.contains(&".git/hooks"),
            "{absent:?}"
        );
    }

    #[test]
    fn the_file_that_says_where_a_worktree_is_at_home_is_protected() {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join(".git"), "gitdir: /elsewhere").unwrap();
        assert_eq!(protected(project.path()), [PathBuf::from(".git")]);
    }
}
