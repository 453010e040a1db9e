//! System directories that a driver brought into a root once and keeps for its next sandboxes. Each
//! world has a state directory of its own, so they would be brought for each anew: instead they are
//! lent to one world at a time, by the `rename` with which the driver itself hands them on. It
//! believes nothing of them, and checks each as it checks its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Where a state directory has them.
const KEPT: &str = "stockade/trees";
/// More of one directory than worlds at a time are of no use.
const OF_ONE: u32 = 4;
/// On some disks each removal waits for the device.
const REMOVERS: usize = 8;

/// What no world has at the moment.
pub struct Kept(PathBuf);

impl Kept {
    /// An empty stock, on the file system of the worlds.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(place: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&place)?;
        Ok(Self(place))
    }

    /// Gives a world one of each directory that is here.
    ///
    /// # Errors
    /// The world has no place for them.
    pub fn lend(&self, state: &Path) -> io::Result<()> {
        let to = state.join(KEPT);
        DirBuilder::new().mode(0o700).recursive(true).create(&to)?;
        for source in self.sources()? {
            let numbers = (0..OF_ONE).map(|number| numbered(&source, number));
            // One that is gone was lent to another world.
            let _ = numbers
                .into_iter()
                .find(|name| fs::rename(self.0.join(name), to.join(numbered(&source, 0))).is_ok());
        }
        Ok(())
    }

    /// Takes back what a world has now. What is left goes with the world.
    pub fn take_back(&self, state: &Path) {
        let from = state.join(KEPT);
        for entry in from.read_dir().into_iter().flatten().flatten() {
            let Some(source) = source(&entry.file_name()) else {
                continue;
            };
            let places = (0..OF_ONE).map(|number| self.0.join(numbered(&source, number)));
            let _ = places
                .into_iter()
                .find(|to| renameat_with(CWD, entry.path(), CWD, to, RenameFlags::NOREPLACE).is_ok());
        }
    }

    /// Removes all.
    pub fn remove(&self) {
        let mut waiting = vec![self.0.clone()];
        // A few levels down there is enough to share among the removers.
        for _ in 0..4 {
            let below = waiting
                .iter()
                .flat_map(|path| path.read_dir().into_iter().flatten().flatten());
            let directories = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let mut next: Vec<PathBuf> = directories.map(|entry| entry.path()).collect();
            std::mem::swap(&mut waiting, &mut next);
        }
        let share = waiting.len().div_ceil(REMOVERS).max(1);
        std::thread::scope(|scope| {
            for share in waiting.chunks(share) {
                scope.spawn(move || share.iter().for_each(|path| drop(fs::remove_dir_all(path))));
            }
        });
        let _ = fs::remove_dir_all(&self.0);
    }

    /// The directories of which there is at least one.
    fn sources(&self) -> io::Result<BTreeSet<String>> {
        let names = self.0.read_dir()?.flatten();
        Ok(names.filter_map(|entry| source(&entry.file_name())).collect())
    }
}

/// `KEY-NUMBER`, as the driver calls them.
fn numbered(source: &str, number: u32) -> String {
    format!("{source}-{number}")
}

fn source(name: &OsString) -> Option<String> {
    let (source, _) = name.to_str()?.rsplit_once('-')?;
    Some(source.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one-line contents of the trees below a directory.
    fn contents(directory: &Path) -> Vec<String> {
        let mut all: Vec<String> = directory
            .read_dir()
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path().join("tree")).unwrap())
            .collect();
        all.sort();
        all
    }

    fn tree(state: &Path, name: &str, content: &str) {
        let place = state.join(KEPT).join(name);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("tree"), content).unwrap();
    }

    #[test]
    fn each_world_gets_one_of_each_and_none_is_lost() {
        let place = tempfile::tempdir().unwrap();
        let kept = Kept::new(place.path().join("kept")).unwrap();
        let state = |name: &str| place.path().join(name);
        tree(&state("first"), "usr-0", "usr of the first");
        tree(&state("first"), "etc-1", "etc of the first");
        tree(&state("second"), "usr-0", "usr of the second");
        kept.take_back(&state("first"));
        kept.take_back(&state("second"));
        assert_eq!(contents(&kept.0).len(), 3);
        for name in ["third", "fourth", "fifth"] {
            kept.lend(&state(name)).unwrap();
        }
        let has = |name: &str| contents(&state(name).join(KEPT));
        assert_eq!(has("third"), ["etc of the first", "usr of the first"]);
        assert_eq!(has("fourth"), ["usr of the second"]);
        assert!(has("fifth").is_empty());
    }

    #[test]
    fn all_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let kept = Kept::new(place.path().join("kept")).unwrap();
        fs::create_dir_all(kept.0.join("usr-0/tree/a/b/c/d/e")).unwrap();
        fs::write(kept.0.join("usr-0/tree/a/file"), "").unwrap();
        kept.remove();
        assert!(!kept.0.exists() && place.path().exists());
    }
}
