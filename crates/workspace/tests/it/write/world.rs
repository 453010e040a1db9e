//! A project with a change set, and what can be seen of both.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stockade_workspace::{
    Applied, ChangeSet, Conflicts, Decision, GitWish, History, Merged, Repositories, Request, ScanLimits,
    Start, ThreeWay, Trees, Undone, WriteError, WriteResult, apply, scan,
};

/// How much is looked at.
pub const LIMITS: ScanLimits = ScanLimits::LIST;

/// The directories.
pub struct World {
    _temporary: Vec<tempfile::TempDir>,
    root: PathBuf,
    project: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let world = Self::in_directory(temporary.path());
        Self {
            _temporary: vec![temporary],
            ..world
        }
    }

    /// In an empty directory that is there already.
    pub fn in_directory(root: &Path) -> Self {
        for name in ["project", "upper", "trash"] {
            fs::create_dir(root.join(name)).expect("a part");
        }
        Self::at(root)
    }

    /// One whose project is on another file system than the rest; none where there is no other.
    pub fn apart() -> Option<Self> {
        let memory = tempfile::tempdir_in("/dev/shm").ok()?;
        let disk = tempfile::tempdir().expect("a directory");
        let device = |path: &Path| fs::metadata(path).expect("metadata").dev();
        if device(memory.path()) == device(disk.path()) {
            return None;
        }
        let project = disk.path().join("project");
        fs::create_dir(&project).expect("a project");
        std::os::unix::fs::symlink(&project, memory.path().join("elsewhere")).expect("a link");
        let world = Self::in_directory(memory.path());
        Some(Self {
            _temporary: vec![memory, disk],
            ..world
        })
    }

    /// One that another process made.
    pub fn at(root: &Path) -> Self {
        Self {
            _temporary: Vec::new(),
            root: root.to_owned(),
            project: fs::read_link(root.join("elsewhere")).unwrap_or_else(|_| root.join("project")),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn project(&self) -> PathBuf {
        self.project.clone()
    }

    pub fn upper(&self) -> PathBuf {
        self.root.join("upper")
    }

    /// A file of the host.
    pub fn host(&self, path: &str, content: &str) {
        write(&self.project().join(path), content);
    }

    /// A file inside.
    pub fn inside(&self, path: &str, content: &str) {
        write(&self.upper().join(path), content);
    }

    /// A file that was deleted inside.
    pub fn gone(&self, path: &str) {
        let path = self.upper().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        super::super::whiteout(&path);
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project().join(path)).expect("a file of the project")
    }

    pub fn changes(&self) -> ChangeSet {
        scan(&self.upper(), &self.project(), LIMITS).expect("a scan")
    }

    pub fn history(&self) -> WriteResult<History> {
        self.history_watched(&|_| {})
    }

    pub fn history_watched(&self, pause: &dyn Fn(&'static str)) -> WriteResult<History> {
        let (path, trash) = (self.root.join("history"), self.root.join("trash"));
        // A test that starts a process beside this one holds our lock until that one runs.
        History::open(&path, &trash, &self.project(), Duration::from_secs(60), pause)
    }

    pub fn apply_all(&self) -> WriteResult<Applied> {
        self.apply(|_| Decision::Apply)
    }

    pub fn apply(&self, decide: impl Fn(&str) -> Decision) -> WriteResult<Applied> {
        self.apply_watched(decide, &|_| {})
    }

    pub fn apply_watched(
        &self,
        decide: impl Fn(&str) -> Decision,
        pause: &dyn Fn(&'static str),
    ) -> WriteResult<Applied> {
        let set = self.changes();
        self.apply_set(&set, decide, pause)
    }

    /// What was looked at may be older than what is there.
    pub fn apply_set(
        &self,
        set: &ChangeSet,
        decide: impl Fn(&str) -> Decision,
        pause: &dyn Fn(&'static str),
    ) -> WriteResult<Applied> {
        let decisions = set
            .changes
            .iter()
            .map(|change| decide(&change.path.to_string_lossy()))
            .collect();
        let request = Request {
            project: self.project(),
            upper: self.upper(),
            set,
            decisions,
            parts: BTreeMap::new(),
            merged: self.merged(set),
            conflicts: vec![false; set.changes.len()],
            git: self.repositories(set),
            owners: None,
            now_ms: now_ms(),
            note: None,
        };
        apply(&self.history_watched(pause)?, &request, pause)
    }

    /// What tells conflicts, of a set that these runs used.
    pub fn facts(&self, runs: &[Start]) -> Conflicts {
        let history = self.root.join("history");
        Conflicts::of(&self.root, &self.upper(), &history, runs).expect("looked at")
    }

    /// Which changes are conflicts.
    pub fn conflicts(&self, runs: &[Start]) -> Vec<bool> {
        let facts = self.facts(runs);
        let set = self.changes();
        set.changes.iter().map(|change| facts.has(change)).collect()
    }

    /// What is done when a run has ended.
    pub fn run_ends(&self, runs: &[Start]) {
        self.run_ends_watched(runs, &|_| {}).expect("kept");
    }

    pub fn run_ends_watched(&self, runs: &[Start], pause: &dyn Fn(&'static str)) -> WriteResult {
        let trees = Trees::open(&self.upper(), &self.project()).expect("trees");
        let set = self.changes();
        self.facts(runs)
            .keep(&self.root, &trees, set.changes.iter(), pause)
    }

    /// A change from three sides.
    pub fn three_way(&self, path: &str) -> ThreeWay {
        let trees = Trees::open(&self.upper(), &self.project()).expect("trees");
        let set = self.changes();
        let change = set.changes.iter().find(|change| change.path == Path::new(path));
        ThreeWay::of(&trees, self.facts(&[]).bases(), change.expect("a change"))
    }

    /// What can be put together of both sides, marked where it must be.
    fn merged(&self, set: &ChangeSet) -> BTreeMap<usize, Merged> {
        let trees = Trees::open(&self.upper(), &self.project()).expect("trees");
        let facts = self.facts(&[]);
        let all = set.changes.iter().enumerate();
        let merged = all.filter_map(|(number, change)| {
            let three = ThreeWay::of(&trees, facts.bases(), change);
            Some((number, three.merged(true)?))
        });
        merged.collect()
    }

    /// All of them, with a yes to everything.
    fn repositories(&self, set: &ChangeSet) -> Vec<GitWish> {
        let trees = Trees::open(&self.upper(), &self.project()).expect("trees");
        let found = Repositories::find(&trees, set);
        let wish = |path: &Path| GitWish {
            path: path.to_owned(),
            id: "test".to_owned(),
            yes: true,
            named: Vec::new(),
        };
        found.understood().map(wish).collect()
    }

    pub fn undo(&self) -> Result<Undone, WriteError> {
        self.undo_watched(&|_| {})
    }

    pub fn undo_watched(&self, pause: &dyn Fn(&'static str)) -> Result<Undone, WriteError> {
        self.history_watched(pause)?.undo(&self.project(), false, pause)
    }
}

pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(0)
}

pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
    fs::write(path, content).expect("a file");
}

/// What a path has that a person could notice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub mode: u32,
    pub content: Vec<u8>,
    /// What programs set for themselves; overlay's own marks left out.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Times and inode: only the very same file has them.
    pub exact: Option<(i64, i64, u64, u64)>,
}

/// A tree, path by path; the root is "".
pub type Picture = BTreeMap<PathBuf, Seen>;

/// A tree as it is, with times, inodes and numbers of links.
pub fn exactly(root: &Path) -> Picture {
    picture(root, true)
}

/// A tree by kinds, modes and contents.
pub fn contents(root: &Path) -> Picture {
    picture(root, false)
}

fn picture(root: &Path, is_exact: bool) -> Picture {
    let mut all = Picture::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = root.join(&path);
        let metadata = full.symlink_metadata().expect("metadata");
        let mut content = Vec::new();
        if metadata.is_dir() {
            for entry in fs::read_dir(&full).expect("a listing") {
                pending.push(path.join(entry.expect("an entry").file_name()));
            }
        } else if metadata.is_symlink() {
            use std::os::unix::ffi::OsStringExt;
            content = fs::read_link(&full).expect("a link").into_os_string().into_vec();
        } else if metadata.is_file() {
            content = fs::read(&full).expect("a file");
        }
        let exact = is_exact.then(|| {
            (
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ino(),
                if metadata.is_dir() { 0 } else { metadata.nlink() },
            )
        });
        let mode = if metadata.is_symlink() { 0 } else { metadata.mode() };
        let is_bare = metadata.is_symlink() || !(metadata.is_dir() || metadata.is_file());
        let attributes = if is_bare {
            BTreeMap::new()
        } else {
            attributes(&full)
        };
        let seen = Seen {
            mode,
            content,
            attributes,
            exact,
        };
        all.insert(path, seen);
    }
    all
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::listxattr(path, names.as_mut_slice()).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0);
    let own = names.filter(|name| name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
    let read = |name: &[u8]| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::getxattr(path, name, value.as_mut_slice()).expect("an attribute");
        (name.to_vec(), value[..length].to_vec())
    };
    own.map(read).collect()
}
