//! The list while it grows: what already shows a path, what must be added.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use stockade_domain::policy::protect;
use stockade_domain::view::{Access, Content, FileView, ViewEntry};

use super::ViewError;
use super::note::Note;
use super::resolve::{Kind, Resolved, is_in, resolve};

/// Most entries of a view: each costs the kernel a mount.
pub const MAX_ENTRIES: usize = 512;

/// Size of the empty directory that covers another: room for nothing but itself.
const COVER_BYTES: u64 = 4096;

/// A view that grows.
pub(super) struct Builder<'a> {
    entries: Vec<ViewEntry>,
    notes: Vec<Note>,
    home: Option<&'a Path>,
    policy_files: &'a [PathBuf],
    /// Directories that a rule shows and that belong to the user.
    own: Vec<PathBuf>,
}

impl<'a> Builder<'a> {
    /// `home` is the user's home directory on the host, whose credentials are protected;
    /// `policy_files` are never writable.
    pub(super) fn new(home: Option<&'a Path>, policy_files: &'a [PathBuf]) -> Self {
        Self {
            entries: Vec::with_capacity(64),
            notes: Vec::new(),
            home,
            policy_files,
            own: Vec::new(),
        }
    }

    /// A rule shows a directory that belongs to the user, whom the sandbox may not know.
    pub(super) fn own(&mut self, directory: &Path) {
        self.own.push(directory.to_owned());
    }

    /// Directories that rules show and that belong to the user.
    pub(super) fn own_directories(&self) -> &[PathBuf] {
        &self.own
    }

    /// Files that say what the next run may do.
    pub(super) fn policy_files(&self) -> &'a [PathBuf] {
        self.policy_files
    }

    /// The user's home directory on the host.
    pub(super) fn home(&self) -> Option<&'a Path> {
        self.home
    }

    pub(super) fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds an entry; a later one at the same path wins.
    pub(super) fn push(&mut self, at: impl Into<PathBuf>, what: Content) -> Result<(), ViewError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(ViewError::TooMany { limit: MAX_ENTRIES });
        }
        self.entries.push(ViewEntry { at: at.into(), what });
        Ok(())
    }

    /// The entry through which a path is seen.
    pub(super) fn seen_through(&self, path: &Path) -> Option<&ViewEntry> {
        seen_through(&self.entries, path)
    }

    /// The entry at exactly this path.
    pub(super) fn entry_at(&self, path: &Path) -> Option<&ViewEntry> {
        self.seen_through(path).filter(|entry| entry.at == path)
    }

    /// Whether a real path of the host is seen inside, at the same path.
    pub(super) fn shows(&self, real: &Path) -> bool {
        self.seen_through(real)
            .is_some_and(|entry| entry_shows(entry, real))
    }

    /// Shows a resolved path of the host and the symlinks that lead to it.
    pub(super) fn reveal(&mut self, resolved: &Resolved, access: Access) -> Result<(), ViewError> {
        self.links(resolved)?;
        if self
            .seen_through(&resolved.real)
            .is_some_and(|entry| grants(entry, &resolved.real, access))
        {
            return Ok(());
        }
        self.host(&resolved.real, resolved.kind == Kind::Directory, access)
    }

    /// Makes the symlinks that stand where the view has nothing of the host's.
    pub(super) fn links(&mut self, resolved: &Resolved) -> Result<(), ViewError> {
        for (at, target) in &resolved.links {
            if self.shows(at) || self.entry_at(at).is_some() {
                continue;
            }
            self.push(
                at,
                Content::Symlink {
                    target: target.clone(),
                },
            )?;
        }
        Ok(())
    }

    /// Shows a path at the same place, and covers the credentials in it.
    pub(super) fn host(&mut self, real: &Path, directory: bool, access: Access) -> Result<(), ViewError> {
        self.push(
            real,
            Content::Host {
                source: real.to_path_buf(),
                directory,
                access,
            },
        )?;
        self.cover_protected(real)
    }

    /// Covers the credentials that exist in a shown tree.
    pub(super) fn cover_protected(&mut self, tree: &Path) -> Result<(), ViewError> {
        for path in protect::covered_inside(tree, self.home) {
            if self.cover(&path)? {
                self.note(Note::Covered { path });
            }
        }
        Ok(())
    }

    /// Puts an empty directory or file over a path, if the view shows it. Says whether it did.
    pub(super) fn cover(&mut self, path: &Path) -> Result<bool, ViewError> {
        let Ok(resolved) = resolve(path) else {
            return Ok(false);
        };
        let real = resolved.real;
        // What was shown below it is hidden too: deny beats allow.
        self.entries
            .retain(|entry| entry.at == real || !is_in(&entry.at, &real));
        if !self.shows(&real) {
            return Ok(false);
        }
        let what = match resolved.kind {
            Kind::Directory => Content::Private {
                mode: 0o555,
                size_bytes: Some(COVER_BYTES),
            },
            Kind::File | Kind::Socket | Kind::Other => Content::File { content: Vec::new() },
        };
        self.push(real, what)?;
        Ok(true)
    }

    /// The list, parents first, one entry a path.
    pub(super) fn finish(mut self) -> (FileView, Vec<Note>) {
        // Byte order puts a parent before its children; the sort is stable, so the last of
        // several entries for one path is the one that was added last.
        self.entries
            .sort_by(|a, b| a.at.as_os_str().as_bytes().cmp(b.at.as_os_str().as_bytes()));
        self.entries.reverse();
        self.entries.dedup_by(|later, earlier| later.at == earlier.at);
        self.entries.reverse();
        (
            FileView {
                entries: self.entries,
            },
            self.notes,
        )
    }
}

/// The deepest entry that holds a path; of several at one place the last.
pub(super) fn seen_through<'v>(entries: &'v [ViewEntry], path: &Path) -> Option<&'v ViewEntry> {
    entries
        .iter()
        .filter(|entry| is_in(path, &entry.at))
        .max_by_key(|entry| entry.at.as_os_str().len())
}

/// Whether an entry shows the host's own `real` at its own path.
pub(super) fn entry_shows(entry: &ViewEntry, real: &Path) -> bool {
    match &entry.what {
        Content::Host { source, .. } => source == &entry.at && is_in(real, source),
        Content::Cache { source } => source == &entry.at && is_in(real, source),
        Content::Workspace => true,
        Content::Private { .. }
        | Content::File { .. }
        | Content::Symlink { .. }
        | Content::Proc
        | Content::Devices => false,
    }
}

/// Whether nothing has to be added to have this access.
fn grants(entry: &ViewEntry, real: &Path, wanted: Access) -> bool {
    let same = match &entry.what {
        Content::Host { access, .. } => *access == wanted,
        // What is wanted writable in a copy-on-write workspace is wanted on the host.
        _ => wanted == Access::ReadOnly && entry.at != real,
    };
    same && entry_shows(entry, real)
}
