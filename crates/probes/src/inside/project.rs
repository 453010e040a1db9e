//! What a command leaves in its workspace, to act when somebody takes it over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::out::{argument, attempt};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("plant", plant),
    ("WS02", rebuild),
    ("WS07", links),
    ("WS-protected", overwrite),
];

/// A file, with its directories.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

/// `plant TOKEN NAME…`: files that say the token in a comment.
fn plant(arguments: &[String]) {
    let Some((token, names)) = arguments.split_first() else {
        return;
    };
    for name in names {
        attempt(name, write(Path::new(name), &format!("# {token}\n")));
    }
}

/// Moves repositories away, with and without their parents, and builds them anew.
fn rebuild(arguments: &[String]) {
    let token = argument(arguments, 0);
    for (old, new, inner) in [(".git", "moved", ".git"), ("below", "aside", "below/.git")] {
        attempt(old, fs::rename(old, new));
        let kept = Path::new(new).join(Path::new(inner).strip_prefix(old).unwrap_or(Path::new("")));
        for directory in ["objects/pack", "refs/heads"] {
            attempt(directory, fs::create_dir_all(Path::new(inner).join(directory)));
        }
        let head = fs::read_to_string(kept.join("HEAD")).unwrap_or_default();
        attempt("HEAD", write(&Path::new(inner).join("HEAD"), &head));
        for name in ["hooks/post-checkout", "config"] {
            let path = Path::new(inner).join(name);
            attempt(path.display(), write(&path, &format!("# {token}\n")));
        }
    }
    attempt("harmless", write(Path::new("harmless"), token));
}

/// Directories that tools obey become links to ones that they do not.
fn links(arguments: &[String]) {
    let token = argument(arguments, 0);
    for name in [".claude", ".vscode", ".git/hooks"] {
        let _ = fs::remove_dir_all(name);
        if let Some(parent) = Path::new(name).parent() {
            let _ = fs::create_dir_all(parent);
        }
        attempt(name, symlink(format!("../harmless-{token}"), name));
    }
    attempt("harmless", write(Path::new("harmless"), token));
}

/// In a workspace that is written in place: each protected path by every call, and its parents.
fn overwrite(arguments: &[String]) {
    let token = argument(arguments, 0);
    for name in [".git/hooks/post-checkout", ".git/config", ".vscode/tasks.json"] {
        let path = Path::new(name);
        attempt(name, write(path, token));
        let beside = path.with_extension("new");
        attempt(name, write(&beside, token));
        attempt(name, fs::rename(&beside, path));
        attempt(name, write(Path::new("over"), token));
        attempt(name, fs::rename("over", path));
        attempt(name, fs::remove_file(path));
        attempt("other", fs::create_dir_all("other"));
        if let Some(parent) = path.parent() {
            attempt(name, exchange(&parent.display().to_string(), "other"));
            attempt(name, fs::rename(parent, "away"));
        }
    }
    attempt(".git", exchange(".git", "other"));
    attempt(".git", fs::rename(".git", "gone"));
    attempt("harmless", write(Path::new("harmless"), token));
}

/// Lets two directories change places.
pub(super) fn exchange(one: &str, other: &str) -> std::io::Result<()> {
    let here = i64::from(libc::AT_FDCWD);
    let flag = i64::from(libc::RENAME_EXCHANGE);
    let mut arguments = [
        Arg::Int(here),
        Arg::Text(one),
        Arg::Int(here),
        Arg::Text(other),
        Arg::Int(flag),
    ];
    call(libc::SYS_renameat2, &mut arguments).map(drop)
}
