//! What makes a change dangerous on the host: files that run there later, without having been
//! meant to run. Which they are is a table.

mod alias;
mod package;
mod protected;
mod table;

use std::path::{Component, Path};

pub(crate) use alias::Aliases;
pub use protected::{protected, unprotected};
use serde::Serialize;

use crate::change::{Change, ChangeKind, NodeKind};
use crate::trees::{Side, Trees};

/// Why a person should look at a change before it reaches the host. The worst come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Runs as another user: set-user-id or set-group-id.
    Setid,
    /// Git runs it, or it tells git what to run.
    Git,
    /// A repository is removed, and its commits with it.
    Commits,
    /// A shell or another program runs it when it starts.
    Startup,
    /// An editor runs it, or what it names, when it opens the project.
    Editor,
    /// An AI agent obeys it or runs what it names.
    Agent,
    /// A CI service runs it.
    Ci,
    /// Tells Stockade what to allow.
    Policy,
    /// A link that leads out of the project.
    LinkOut,
    /// A named pipe, a socket or a device.
    Special,
    /// A name that looks like another, or whose letters are not all visible.
    Name,
    /// A build, test or package tool runs it.
    Build,
    /// A file that can be executed now and could not before.
    Executable,
}

impl Risk {
    /// The reason, in a clause.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Setid => "runs as another user (set-user-id or set-group-id)",
            Self::Git => "git runs it, or it tells git what to run",
            Self::Commits => "a repository is removed, and the commits in it",
            Self::Startup => "a shell or program runs or reads it when it starts",
            Self::Editor => "an editor runs it, or what it names, when it opens the project",
            Self::Agent => "an AI agent obeys it, or runs what it names",
            Self::Ci => "a CI service runs it",
            Self::Policy => "tells Stockade what to allow",
            Self::LinkOut => "a link that leads out of the project",
            Self::Special => "a named pipe, a socket or a device; never applied",
            Self::Name => "its name looks like another, or is not all visible",
            Self::Build => "a build, test or package tool runs it",
            Self::Executable => "can be executed now",
        }
    }

    /// It acts without being called by name: shown even where git's rules leave it out.
    #[must_use]
    pub fn is_unasked(self) -> bool {
        !matches!(
            self,
            Self::Build | Self::Executable | Self::LinkOut | Self::Special | Self::Name
        )
    }
}

/// Everything about a change that deserves a look, the worst first.
#[must_use]
pub(crate) fn risks(trees: &Trees, aliases: &Aliases, change: &Change) -> Vec<Risk> {
    let mut found = Vec::new();
    if removes_repository(change) {
        found.push(Risk::Commits);
    }
    let Some(after) = change.after else {
        return found; // what is gone runs no more
    };
    match after.node {
        NodeKind::Special => found.push(Risk::Special),
        NodeKind::Symlink if leads_out(trees, &change.path) => found.push(Risk::LinkOut),
        _ => {}
    }
    if after.is_setid() {
        found.push(Risk::Setid);
    }
    if after.is_executable() && !change.before.is_some_and(|before| before.is_executable()) {
        found.push(Risk::Executable);
    }
    if is_deceptive(&change.path) {
        found.push(Risk::Name);
    }
    if after.node != NodeKind::Directory {
        let is_package = change
            .path
            .file_name()
            .is_some_and(|name| name.eq_ignore_ascii_case("package.json"));
        found.extend(by_name(&change.path));
        found.extend(aliases.risk(&change.path));
        if of_bare_repository(trees, &change.path) {
            found.push(Risk::Git);
        }
        if is_package && package::runs_other_commands(trees, change) {
            found.push(Risk::Build);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a `.git` of the host is gone, or is something else than a directory now.
fn removes_repository(change: &Change) -> bool {
    let was_directory = change
        .before
        .is_some_and(|before| before.node == NodeKind::Directory);
    let is_directory = change
        .after
        .is_some_and(|after| after.node == NodeKind::Directory);
    was_directory && !is_directory && change.path.file_name().is_some_and(|name| name == ".git")
}

/// What the name alone tells. On file systems that ignore case, or that ignore some letters
/// altogether, other names mean the same file.
fn by_name(path: &Path) -> Option<Risk> {
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(plain(&name.to_string_lossy())),
            _ => None,
        })
        .collect();
    if let Some(git) = parts.iter().position(|part| part == ".git") {
        let inner = parts.get(git + 1..).unwrap_or_default();
        // A branch may have any name.
        let quiet = inner.iter().position(|part| part == "refs" || part == "logs");
        let is_loud = inner.is_empty()
            || inner
                .iter()
                .take(quiet.unwrap_or(inner.len()))
                .any(|part| table::GIT_INSIDE.contains(&part.as_str()));
        return is_loud.then_some(Risk::Git);
    }
    table::FILES
        .iter()
        .filter(|(pattern, _)| {
            (0..parts.len()).any(|at| matches(pattern, parts.get(at..).unwrap_or_default()))
        })
        .map(|(_, risk)| *risk)
        .min()
}

/// A pattern of whole names, of which each may begin with `*`; what lies below it is meant too.
fn matches(pattern: &str, parts: &[String]) -> bool {
    let mut parts = parts.iter();
    pattern.split('/').all(|wanted| {
        parts.next().is_some_and(|part| match wanted.strip_prefix('*') {
            Some(end) => part.ends_with(end),
            None => part == wanted,
        })
    })
}

/// A name as the least careful of file systems takes it.
fn plain(name: &str) -> String {
    let seen: String = name.chars().filter(|letter| !is_invisible(*letter)).collect();
    let lower = seen.to_lowercase();
    match lower.trim_end_matches(['.', ' ']) {
        "git~1" => ".git".to_owned(),
        other => other.to_owned(),
    }
}

/// Git takes any directory that looks like a repository for one, and obeys its settings and
/// hooks when it is started in it.
fn of_bare_repository(trees: &Trees, path: &Path) -> bool {
    let is_called = |path: &Path, names: &[&str]| {
        let name = path.file_name().map(|name| plain(&name.to_string_lossy()));
        name.is_some_and(|name| names.contains(&name.as_str()))
    };
    let above = path.parent();
    let directory = if is_called(path, &["config", "config.worktree"]) {
        above
    } else {
        above
            .filter(|above| is_called(above, &["hooks"]))
            .and_then(Path::parent)
    };
    let has = |directory: &Path, name: &str| {
        let is_there = |side| {
            trees
                .entry(side, &directory.join(name))
                .is_ok_and(|entry| entry.is_some())
        };
        is_there(Side::After) || is_there(Side::Before)
    };
    directory.is_some_and(|directory| {
        ["HEAD", "objects", "refs"]
            .iter()
            .all(|name| has(directory, name))
    })
}

fn is_deceptive(path: &Path) -> bool {
    path.to_string_lossy()
        .chars()
        .any(|letter| letter.is_control() || letter == '\u{fffd}' || is_invisible(letter))
}

fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// True if a link leads out of the project, or where it leads cannot be read.
fn leads_out(trees: &Trees, path: &Path) -> bool {
    let Ok(target) = trees.link(Side::After, path) else {
        return true;
    };
    let mut depth = path.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

/// Whether a directory may be told in one line although it is risky inside.
pub(crate) fn is_git_data(change: &Change) -> bool {
    change.kind != ChangeKind::Replaced
        && change.path.components().any(|part| part.as_os_str() == ".git")
        && !change.risks.iter().any(|risk| risk.is_unasked())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risk(path: &str) -> Option<Risk> {
        by_name(Path::new(path))
    }

    #[test]
    fn what_runs_later_is_known_by_name_at_any_depth() {
        let table = [
            (".git/hooks/pre-commit", Risk::Git),
            ("sub/.git/hooks/pre-commit", Risk::Git),
            (".git/modules/x/config", Risk::Git),
            (".git", Risk::Git),
            (".gitattributes", Risk::Git),
            ("a/.bashrc", Risk::Startup),
            (".envrc", Risk::Startup),
            (".vscode/tasks.json", Risk::Editor),
            ("x.code-workspace", Risk::Editor),
            (".claude/settings.json", Risk::Agent),
            (".mcp.json", Risk::Agent),
            ("CLAUDE.md", Risk::Agent),
            (".github/workflows/ci.yml", Risk::Ci),
            ("stockade.toml", Risk::Policy),
            ("sub/Makefile", Risk::Build),
            ("conftest.py", Risk::Build),
        ];
        for (path, expected) in table {
            assert_eq!(risk(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn other_spellings_of_the_same_name_are_known_too() {
        for path in [
            ".GIT/hooks/x",
            ".g\u{200c}it/hooks/x",
            "git~1/hooks/x",
            ".Git. /Hooks/x",
        ] {
            assert_eq!(risk(path), Some(Risk::Git), "{path}");
        }
    }

    #[test]
    fn ordinary_files_and_gits_own_data_are_no_risk() {
        for path in [
            "src/main.rs",
            "git/hooks/x",
            ".git/objects/ab/cd",
            ".git/index",
            ".git/refs/heads/config",
            ".git/logs/refs/heads/hooks",
            "makefile.txt",
            "README.md",
        ] {
            assert_eq!(risk(path), None, "{path}");
        }
    }

    #[test]
    fn names_that_deceive_are_told() {
        assert!(is_deceptive(Path::new("a\u{202e}b")) && is_deceptive(Path::new("a\u{1b}[2J")));
        assert!(!is_deceptive(Path::new("été 文件.rs")));
    }
}
