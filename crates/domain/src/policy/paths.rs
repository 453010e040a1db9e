//! How paths are written in policies: absolute, or from `~`, `$HOME` or `$WORKDIR`.

use std::path::{Component, Path, PathBuf};

/// Longest path that is read (the kernel's `PATH_MAX`).
pub const MAX_PATH_BYTES: usize = 4096;

/// What the beginnings stand for on this host.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The user's home directory, if there is one.
    pub home: Option<&'a Path>,
    /// The workspace, or the current directory where there is none.
    pub workdir: &'a Path,
    /// What relative paths of the command line are relative to.
    pub current: &'a Path,
}

/// A path text that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {text:?} {why}: {fix}")]
pub struct PathTextError {
    /// The text, cut to a printable length.
    pub text: String,
    /// What is wrong.
    pub why: &'static str,
    /// What to write instead.
    pub fix: &'static str,
}

/// Where a path text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Root,
    Home,
    Workdir,
    Current,
}

/// Checks a path of a policy file: it means the same wherever Stockade is started.
///
/// # Errors
/// Relative paths, `..`, patterns and unknown variables.
pub fn check_in_file(text: &str) -> Result<(), PathTextError> {
    let (base, rest) = split(text)?;
    if base == Base::Current {
        return Err(refuse(
            text,
            "is relative",
            "begin it with /, ~, $HOME or $WORKDIR",
        ));
    }
    if Path::new(rest)
        .components()
        .any(|part| part == Component::ParentDir)
    {
        return Err(refuse(text, "has .. in it", "write the directory itself"));
    }
    if text.contains(['*', '?']) {
        return Err(refuse(text, "is a pattern", "name the directory or file itself"));
    }
    Ok(())
}

/// Replaces the beginning and makes the path absolute. `..` and symlinks stay.
///
/// # Errors
/// Texts outside the grammar; `~` where there is no home directory.
pub fn expand(text: &str, places: &Places<'_>) -> Result<PathBuf, PathTextError> {
    let (base, rest) = split(text)?;
    let start = match base {
        Base::Root => Path::new("/"),
        Base::Workdir => places.workdir,
        Base::Current => places.current,
        Base::Home => places.home.ok_or_else(|| {
            refuse(
                text,
                "begins at home, and there is none",
                "set HOME or write the full path",
            )
        })?,
    };
    // Joining part by part also drops `.` and doubled slashes.
    Ok(start
        .components()
        .chain(
            Path::new(rest)
                .components()
                .filter(|part| *part != Component::RootDir),
        )
        .collect())
}

fn split(text: &str) -> Result<(Base, &str), PathTextError> {
    if text.is_empty() {
        return Err(refuse(text, "is empty", "name a directory or file"));
    }
    if text.contains('\0') || text.len() > MAX_PATH_BYTES {
        return Err(refuse(
            text,
            "cannot be a path",
            "paths have up to 4096 bytes and no NUL",
        ));
    }
    for (word, base) in [
        ("~", Base::Home),
        ("$HOME", Base::Home),
        ("$WORKDIR", Base::Workdir),
    ] {
        if let Some(rest) = text.strip_prefix(word)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return Ok((base, rest));
        }
    }
    match text.as_bytes()[0] {
        b'/' => Ok((Base::Root, text)),
        b'~' => Err(refuse(text, "names another user's home", "write the full path")),
        b'$' => Err(refuse(
            text,
            "begins with an unknown variable",
            "only $HOME and $WORKDIR are known",
        )),
        _ => Ok((Base::Current, text)),
    }
}

fn refuse(text: &str, why: &'static str, fix: &'static str) -> PathTextError {
    PathTextError {
        text: text.chars().take(80).collect(),
        why,
        fix,
    }
}
