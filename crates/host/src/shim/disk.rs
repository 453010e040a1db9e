//! Watches how much a change set and what was added to caches hold. It is watched and not enforced: between two looks
//! more can be written. The sandbox writes there while we look, so nothing is followed out
//! of the tree, and a look is done in steps of bounded length.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags};
use stockade_workspace::replica::{Baseline, COPY};

/// What a file costs beside its content, so that empty ones count too.
const INODE_BYTES: u64 = 256;
/// Names looked at in a step.
pub(crate) const STEP: u32 = 20_000;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// A tree that is looked at.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Kept open from when it is first there: it stays the same one if somebody moves it.
    opened: Option<OwnedFd>,
}

impl Root {
    fn new(path: PathBuf) -> Self {
        let mut root = Self { path, opened: None };
        root.open();
        root
    }

    fn open(&mut self) {
        if self.opened.is_none() {
            self.opened = rustix::fs::openat(CWD, &self.path, DIRECTORY, Mode::empty()).ok();
        }
    }
}

/// A look that may take several steps.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    roots: Vec<Root>,
    /// Of the copy that a sandbox writes to in place of a change set: it comes first.
    copied: Option<Baseline>,
    /// Directories to be looked at, with the number of their root.
    pending: Vec<(usize, PathBuf)>,
    bytes: u64,
    /// What was there before, and is not counted.
    before: u64,
}

impl DiskWatch {
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots: roots.into_iter().map(Root::new).collect(),
            copied: None,
            pending: Vec::new(),
            bytes: 0,
            before: 0,
        }
    }

    /// The change set in a directory: its upper layer, or what was touched in the copy.
    pub(crate) fn of_changes(changes: &Path) -> Self {
        let copied = Baseline::of(changes);
        let root = if copied.is_some() { COPY } else { "upper" };
        Self {
            copied,
            ..Self::new(vec![changes.join(root)])
        }
    }

    /// A place, beyond what it holds now.
    pub(crate) fn beyond_now(place: PathBuf) -> Self {
        let mut watch = Self::new(vec![place]);
        loop {
            let bytes = watch.step(STEP);
            if watch.is_whole() {
                watch.before = bytes;
                return watch;
            }
        }
    }

    /// And this.
    pub(crate) fn and(mut self, root: Option<PathBuf>) -> Self {
        self.roots.extend(root.map(Root::new));
        self
    }

    /// Looks at about `names` names. What has been counted of this look so far, which is
    /// never more than there is; a new look begins when all was seen.
    pub(crate) fn step(&mut self, names: u32) -> u64 {
        if self.pending.is_empty() {
            self.bytes = 0;
            self.pending
                .extend((0..self.roots.len()).map(|root| (root, PathBuf::new())));
        }
        self.roots.iter_mut().for_each(Root::open);
        let mut left = names;
        while left > 0 {
            let Some((root, path)) = self.pending.pop() else {
                break;
            };
            // What vanished meanwhile or is too deep for a path is not counted.
            let opened = self.roots.get(root).and_then(|root| root.opened.as_ref());
            if let Some(Ok(directory)) = opened.map(|opened| open_below(opened, &path)) {
                left = left.saturating_sub(self.count(&directory, root, &path).unwrap_or(1).max(1));
            }
        }
        self.bytes.saturating_sub(self.before)
    }

    /// True if all was seen: the sum is that of a whole look.
    pub(crate) fn is_whole(&self) -> bool {
        self.pending.is_empty()
    }

    fn count(&mut self, directory: &OwnedFd, root: usize, path: &Path) -> rustix::io::Result<u32> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(directory.as_fd(), &mut buffer);
        let mut seen = 0;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            seen += 1;
            let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let inner = path.join(OsStr::from_bytes(name.to_bytes()));
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let copied = self.copied.as_ref().filter(|_| root == 0 && !is_directory);
            if copied.is_some_and(|copied| copied.has(&inner, &stat)) {
                continue;
            }
            let content = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
            self.bytes = self.bytes.saturating_add(content).saturating_add(INODE_BYTES);
            if is_directory {
                self.pending.push((root, inner));
            }
        }
        Ok(seen)
    }
}

fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return rustix::fs::openat(root, c".", DIRECTORY, Mode::empty());
    }
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(root, path, DIRECTORY, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use stockade_workspace::replica;

    use super::*;

    #[test]
    fn content_and_empty_files_count_and_links_out_do_not() {
        let place = tempfile::tempdir().unwrap();
        let (upper, outside) = (place.path().join("upper"), place.path().join("outside"));
        std::fs::create_dir_all(upper.join("a/b")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(&outside, upper.join("link")).unwrap();
        let mut watch = DiskWatch::new(vec![upper.clone(), place.path().join("none")]);
        let before = watch.step(STEP);
        assert!(before < 100_000, "{before}");
        let file = std::fs::File::create(upper.join("a/b/file")).unwrap();
        std::io::Write::write_all(&mut &file, &vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(watch.step(STEP) > 1 << 20);
    }

    #[test]
    fn what_is_moved_meanwhile_is_counted_all_the_same() {
        let place = tempfile::tempdir().unwrap();
        let (here, there) = (place.path().join("here"), place.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        let mut watch = DiskWatch::new(vec![here.clone()]);
        std::fs::rename(&here, &there).unwrap();
        std::fs::create_dir(&here).unwrap();
        let file = std::fs::File::create(there.join("file")).unwrap();
        std::io::Write::write_all(&mut &file, &vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(watch.step(STEP) > 1 << 20);
    }

    #[test]
    fn of_a_copy_only_what_was_touched_counts() {
        let place = tempfile::tempdir().unwrap();
        let (source, changes) = (place.path().join("source"), place.path().join("changes"));
        for directory in [&source, &changes] {
            std::fs::create_dir(directory).unwrap();
        }
        for name in ["large", "other"] {
            std::fs::write(source.join(name), vec![1; 1 << 20]).unwrap();
        }
        let order = replica::Order {
            source,
            copy: changes.join(COPY),
            upper: None,
            list: changes.join(replica::LIST),
            owner: None,
            hidden: Vec::new(),
            limits: replica::CopyLimits::default(),
        };
        replica::make(&order, &|| false).unwrap();
        let before = DiskWatch::of_changes(&changes).step(STEP);
        assert!(before < 100_000, "{before}");
        let file = std::fs::File::create(changes.join(COPY).join("large")).unwrap();
        std::io::Write::write_all(&mut &file, &vec![2; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let after = DiskWatch::of_changes(&changes).step(STEP);
        assert!((1 << 20..2 << 20).contains(&after), "{after}");
    }

    #[test]
    fn a_look_in_steps_comes_to_the_same() {
        let place = tempfile::tempdir().unwrap();
        for index in 0..20 {
            std::fs::create_dir_all(place.path().join(format!("{index}/x"))).unwrap();
        }
        let whole = DiskWatch::new(vec![place.path().to_owned()]).step(STEP);
        let mut watch = DiskWatch::new(vec![place.path().to_owned()]);
        let steps: Vec<u64> = (0..60).map(|_| watch.step(1)).collect();
        assert_eq!(steps.iter().max(), Some(&whole));
    }
}
