//! Says where a command is that was not found inside (exit code 127).

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stockade_domain::policy::protect;
use stockade_domain::view::FileView;

use super::resolve::resolve;
use super::variables::is_visible;

/// Longest first line of a script that the kernel reads.
const MAX_SHEBANG_BYTES: u64 = 256;

/// A command that the host has and the policy hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The command as it was named.
    pub command: String,
    /// What is hidden: the program, or the interpreter of the script.
    pub host_path: PathBuf,
    /// What to show: its directory, or itself where the directory would show too much.
    pub show: PathBuf,
    /// True if the command is a script and its interpreter is what is hidden.
    pub interpreter: bool,
}

impl fmt::Display for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host_path, show) = (self.host_path.display(), self.show.display());
        let is = if self.interpreter {
            "is a script for"
        } else {
            "is at"
        };
        write!(
            out,
            "{} {is} {host_path}, which the policy hides: show it with --ro {show}",
            self.command
        )
    }
}

/// Whether a command that cannot be started inside exists on the host and is hidden.
/// `path` is the host's `PATH`.
#[must_use]
pub fn explain_missing(command: &str, view: &FileView, path: &str) -> Option<Hidden> {
    let candidates: Vec<PathBuf> = if command.contains('/') {
        vec![PathBuf::from(command)]
    } else {
        path.split(':')
            .map(|directory| Path::new(directory).join(command))
            .collect()
    };
    let program = candidates
        .into_iter()
        .filter(|path| path.is_absolute())
        .find(|path| is_executable(path))?;
    let hidden = |path: &Path, interpreter| {
        let real = resolve(path).ok()?.real;
        let show = to_show(&real, view);
        Some(Hidden {
            command: command.to_owned(),
            host_path: real,
            show,
            interpreter,
        })
    };
    if !is_visible(&program, view) {
        return hidden(&program, false);
    }
    let interpreter = interpreter_of(&program)?;
    if is_visible(&interpreter, view) {
        None
    } else {
        hidden(&interpreter, true)
    }
}

/// The directory of a program, but never one that may not be shown, nor the home
/// directory or another one that the view replaces by its own.
fn to_show(program: &Path, view: &FileView) -> PathBuf {
    let replaced = |path: &Path| view.entries.iter().any(|entry| entry.at == path);
    match program.parent() {
        Some(parent) if !replaced(parent) && protect::refuse_source(parent, true, false, None).is_none() => {
            parent.to_path_buf()
        }
        _ => program.to_path_buf(),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The program that runs a script, if it exists.
fn interpreter_of(program: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    std::fs::File::open(program)
        .ok()?
        .take(MAX_SHEBANG_BYTES)
        .read_to_end(&mut start)
        .ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    let path = PathBuf::from(interpreter);
    (path.is_absolute() && path.exists()).then_some(path)
}
