//! Finds and reads the layers of a policy. Each is checked for who can write it: what a
//! layer may say follows from whose it is.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::Serialize;
use stockade_domain::policy::{Layer, LayerKind, Layers, MAX_BYTES, PolicyError, parse_bytes};

/// Where the organisation's files are. It is fixed: a variable could name another place.
pub const ORGANISATION: &str = "/etc/stockade";
/// The user's file, below the configuration directory.
pub const USER_FILE: &str = "stockade/policy.toml";
/// The project's file, at its root.
pub const PROJECT_FILE: &str = "stockade.toml";
/// Most files that the organisation may have.
pub const MAX_FILES: usize = 64;

/// Permission bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// The permission bit that lets everybody write.
const ALL_WRITE: u32 = 0o002;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// Directory of the organisation's files.
    pub organisation: PathBuf,
    /// The user's file.
    pub user: Option<PathBuf>,
}

impl Places {
    /// Those of this process: [`ORGANISATION`], and `$XDG_CONFIG_HOME` or `~/.config`.
    #[must_use]
    pub fn of_process() -> Self {
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let config =
            absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        Self {
            organisation: ORGANISATION.into(),
            user: config.map(|config| config.join(USER_FILE)),
        }
    }
}

/// A file that was read as a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerFile {
    /// Whose it is.
    pub layer: LayerKind,
    /// The file.
    pub path: PathBuf,
}

/// The layers with the files that they come from.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What they say.
    pub layers: Layers,
    /// In the order in which they were read.
    pub files: Vec<LayerFile>,
}

/// A layer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// What it says.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// It exists and cannot be read: what it forbids is not known.
    #[error("cannot read {} {}: {cause}\n    fix: {fix}", noun(*layer), path.display())]
    Unreadable {
        /// Whose it is.
        layer: LayerKind,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
        /// What to do.
        fix: &'static str,
    },
    /// Somebody can write it who may not say what it says.
    #[error("cannot trust {} {}: {why}\n    fix: {fix}", noun(*layer), path.display())]
    Untrusted {
        /// Whose it should be.
        layer: LayerKind,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do.
        fix: String,
    },
}

fn noun(layer: LayerKind) -> &'static str {
    match layer {
        LayerKind::Organisation => "the organisation's policy",
        LayerKind::User => "the user's policy",
        LayerKind::Project => "the project's policy",
        LayerKind::Named | LayerKind::Flags => "policy",
    }
}

type Result<T> = std::result::Result<T, LayerError>;

impl Found {
    /// Reads the organisation's and the user's layers.
    ///
    /// # Errors
    /// One that exists and cannot be read, understood or trusted. None is ever passed over.
    pub fn read(places: &Places) -> Result<Self> {
        let mut found = Self::default();
        found.organisation(&places.organisation)?;
        if let Some(path) = &places.user
            && let Some(layer) = user(path)?
        {
            found.layers.user = Some(layer);
            found.note(LayerKind::User, path);
        }
        Ok(found)
    }

    /// Reads a policy that the command line names.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn read_named(&mut self, path: &Path) -> Result<()> {
        let unreadable = |cause: io::Error| unreadable(LayerKind::Named, path, cause);
        let file = File::open(path).map_err(unreadable)?;
        self.layers.named = Some(parse(LayerKind::Named, file, path)?);
        self.note(LayerKind::Named, path);
        Ok(())
    }

    /// Reads the file at the root of a project. One that the command line has named is
    /// trusted by that, and no other layer once more.
    ///
    /// # Errors
    /// It exists and cannot be read or understood.
    pub fn read_project(&mut self, root: &Path) -> Result<()> {
        let path = root.join(PROJECT_FILE);
        let Some((file, seen)) = open(LayerKind::Project, CWD, &path, &path, OFlags::NOFOLLOW)? else {
            return Ok(());
        };
        let named = self.files.iter().filter(|file| file.layer == LayerKind::Named);
        let is_named = |named: &LayerFile| {
            rustix::fs::stat(&named.path)
                .is_ok_and(|named| (named.st_dev, named.st_ino) == (seen.st_dev, seen.st_ino))
        };
        if named.into_iter().any(is_named) {
            return Ok(());
        }
        self.layers.project = Some(parse(LayerKind::Project, file, &path)?);
        self.note(LayerKind::Project, &path);
        Ok(())
    }

    fn note(&mut self, layer: LayerKind, path: &Path) {
        self.files.push(LayerFile {
            layer,
            path: path.to_path_buf(),
        });
    }

    fn organisation(&mut self, directory: &Path) -> Result<()> {
        const KIND: LayerKind = LayerKind::Organisation;
        let failed = |cause: Errno| unreadable(KIND, directory, cause.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(directory, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(failed)?,
        };
        only_root_writes(directory, &rustix::fs::fstat(&opened).map_err(failed)?)?;
        for name in names(&opened).map_err(failed)? {
            let path = directory.join(&name);
            let opened = open(KIND, opened.as_fd(), Path::new(&name), &path, OFlags::NOFOLLOW)?;
            // Removed since it was listed: whoever may do that may also have done it before.
            let Some((file, seen)) = opened else { continue };
            only_root_writes(&path, &seen)?;
            self.layers.organisation.push(parse(KIND, file, &path)?);
            self.note(KIND, &path);
            if self.files.len() > MAX_FILES {
                return Err(LayerError::Untrusted {
                    layer: KIND,
                    path: directory.to_path_buf(),
                    why: format!("it has more than {MAX_FILES} policies"),
                    fix: "put them together in fewer files".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Names of policies in a directory, in their order.
fn names(directory: &OwnedFd) -> std::result::Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        // A name that is no text ends in no suffix of ours.
        if let Ok(name) = entry.file_name().to_str()
            && name.ends_with(".toml")
            && !name.starts_with('.')
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn user(path: &Path) -> Result<Option<Layer>> {
    const KIND: LayerKind = LayerKind::User;
    let Some((file, seen)) = open(KIND, CWD, path, path, OFlags::empty())? else {
        return Ok(None);
    };
    let own = rustix::process::geteuid().as_raw();
    let fix = || format!("chown {own} {0} && chmod go-w {0}", path.display());
    let untrusted = |why: String| {
        Err(LayerError::Untrusted {
            layer: KIND,
            path: path.to_path_buf(),
            why,
            fix: fix(),
        })
    };
    if seen.st_uid != own && seen.st_uid != 0 {
        return untrusted(format!("it belongs to user {}", seen.st_uid));
    }
    let group = rustix::process::getegid().as_raw();
    if others_can_write(seen.st_mode, seen.st_gid, own, group) {
        return untrusted(format!(
            "others can write it (mode {:04o})",
            seen.st_mode & 0o7777
        ));
    }
    parse(KIND, file, path).map(Some)
}

/// Whether somebody else than its owner can write a file. A group of one's own, which by
/// convention has the user's number, is the user too; a primary group that many share is not.
fn others_can_write(mode: u32, file_group: u32, own: u32, own_group: u32) -> bool {
    let private = own_group == own && file_group == own_group;
    mode & if private { ALL_WRITE } else { OTHERS_WRITE } != 0
}

/// Opens a regular file; a pipe or device in its place neither blocks nor acts. `None` where
/// there is nothing.
fn open(
    layer: LayerKind,
    directory: BorrowedFd<'_>,
    name: &Path,
    path: &Path,
    flags: OFlags,
) -> Result<Option<(File, Stat)>> {
    let failed = |cause: Errno| unreadable(layer, path, cause.into());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | flags;
    let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) if is_absent(directory, name) => return Ok(None),
        // Some part of the path is a file: there cannot be anything below it.
        Err(Errno::NOTDIR) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let seen = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(unreadable(layer, path, cause));
    }
    Ok(Some((file.into(), seen)))
}

/// A link that leads nowhere is there, and was meant to say something.
fn is_absent(directory: BorrowedFd<'_>, name: &Path) -> bool {
    matches!(
        rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW),
        Err(Errno::NOENT)
    )
}

fn only_root_writes(path: &Path, seen: &Stat) -> Result<()> {
    let mode = seen.st_mode & 0o7777;
    let why = if seen.st_uid != 0 {
        format!("it belongs to user {}, not to root", seen.st_uid)
    } else if mode & OTHERS_WRITE != 0 {
        format!("others than root can write it (mode {mode:04o})")
    } else {
        return Ok(());
    };
    Err(LayerError::Untrusted {
        layer: LayerKind::Organisation,
        path: path.to_path_buf(),
        why,
        fix: format!("chown root:root {0} && chmod go-w {0}", path.display()),
    })
}

fn parse(layer: LayerKind, file: File, path: &Path) -> Result<Layer> {
    // One byte more, so that too much is noticed.
    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(bound)
        .read_to_end(&mut bytes)
        .map_err(|cause| unreadable(layer, path, cause))?;
    Ok(parse_bytes(&bytes, &path.to_string_lossy())?)
}

fn unreadable(layer: LayerKind, path: &Path, cause: io::Error) -> LayerError {
    let link = cause.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    let fix = match (layer, cause.kind()) {
        _ if link => "put the file itself there, not a link to it",
        (LayerKind::Named, io::ErrorKind::NotFound) => {
            "check the name; it is relative to the current directory"
        }
        (_, io::ErrorKind::PermissionDenied) => "make it readable for the user that runs stockade",
        _ => "put a file of text there, or remove it",
    };
    LayerError::Unreadable {
        layer,
        path: path.to_path_buf(),
        cause,
        fix,
    }
}

#[cfg(test)]
mod tests;
