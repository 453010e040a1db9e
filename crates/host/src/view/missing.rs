//! Says where a command is that was not found inside (exit code 127).

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
    /// The directory to show.
    pub show: PathBuf,
}

impl fmt::Display for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            host_path,
            show,
        } = self;
        let (host_path, show) = (host_path.display(), show.display());
        write!(
            out,
            "{command} needs {host_path}, which the policy hides: show it with --ro {show}"
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
    let hidden = |hidden: &Path| {
        let real = resolve(hidden).ok()?.real;
        let show = real
            .parent()
            .filter(|parent| *parent != Path::new("/"))
            .unwrap_or(&real)
            .to_path_buf();
        Some(Hidden {
            command: command.to_owned(),
            host_path: real,
            show,
        })
    };
    if !is_visible(&program, view) {
        return hidden(&program);
    }
    let interpreter = interpreter_of(&program)?;
    if is_visible(&interpreter, view) {
        None
    } else {
        hidden(&interpreter)
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
