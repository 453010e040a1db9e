//! Writing and reading the files that setup changes.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

/// Longest file that is compared; ours are much shorter.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The content; none where there is no such file.
pub(super) fn content(path: &Path) -> io::Result<Option<String>> {
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(no_links).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    io::read_to_string(io::Read::take(file, MAX_BYTES)).map(Some)
}

/// Makes the missing directories above a file; returns those that were made.
pub(super) fn missing_directories(root: &Path, path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1);
    let mut missing: Vec<PathBuf> = above
        .take_while(|directory| *directory != root && !directory.exists())
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

/// Writes a file that must not exist, whole or not at all.
pub(super) fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    let aside = write_aside(path, text)?;
    renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE).inspect_err(|_| {
        let _ = std::fs::remove_file(&aside);
    })?;
    sync_directory(path)
}

/// Writes a file that is ours, whole or not at all.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    std::fs::rename(write_aside(path, text)?, path)?;
    sync_directory(path)
}

fn write_aside(path: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // apparmor_parser and systemd pass over names that begin with a dot.
    let aside = path.with_file_name(format!(".{name}.stockade-new"));
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&aside)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(aside)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Writes a value of the kernel.
pub(super) fn set(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(value.as_bytes())
}
