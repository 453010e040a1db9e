//! Finds where a path leads, and by which symlinks.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// More symlinks than the kernel follows.
const MAX_LINKS: usize = 40;

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Socket,
    /// A device, a pipe: nothing that a view can show.
    Other,
}

/// A path that was followed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The path without symlinks.
    pub real: PathBuf,
    /// What is there.
    pub kind: Kind,
    /// The symlinks on the way: where each stands (a real path) and what it says.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// Follows an absolute path.
pub(super) fn resolve(path: &Path) -> io::Result<Resolved> {
    let mut real = PathBuf::with_capacity(path.as_os_str().len() + 16);
    real.push("/");
    let mut kind = Kind::Directory;
    let mut links = Vec::new();
    let mut rest = path.to_path_buf();
    'restart: loop {
        let mut parts = rest.components();
        while let Some(part) = parts.next() {
            match part {
                Component::RootDir => real = PathBuf::from("/"),
                // `real` has no symlinks, so its parent is the one that the kernel means.
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => {
                    real.push(name);
                    let metadata = std::fs::symlink_metadata(&real)?;
                    if !metadata.is_symlink() {
                        kind = kind_of(&metadata);
                        continue;
                    }
                    if links.len() == MAX_LINKS {
                        return Err(io::Error::from(io::ErrorKind::InvalidInput));
                    }
                    let target = std::fs::read_link(&real)?;
                    let remaining = target.join(parts.as_path());
                    links.push((real.clone(), target));
                    real.pop();
                    kind = Kind::Directory;
                    rest = remaining;
                    continue 'restart;
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        return Ok(Resolved { real, kind, links });
    }
}

fn kind_of(metadata: &std::fs::Metadata) -> Kind {
    use std::os::unix::fs::FileTypeExt;
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        Kind::Directory
    } else if file_type.is_file() {
        Kind::File
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    }
}

/// Whether `path` is `tree` or lies in it. Both absolute and normalised; cheaper than
/// [`Path::starts_with`], which takes paths apart, and asked a thousand times.
pub(super) fn is_in(path: &Path, tree: &Path) -> bool {
    let (path, tree) = (path.as_os_str().as_bytes(), tree.as_os_str().as_bytes());
    match path.strip_prefix(tree) {
        Some([]) | Some([b'/', ..]) => true,
        Some(_) => tree == b"/",
        None => false,
    }
}
