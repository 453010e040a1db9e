//! Looks at a tree: what is different from a former one.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, statat};
use rustix::io::{Errno, Result};
use stockade_wire::limits::{MAX_NODES, MAX_PATH, MAX_TREE_NAMES, RECENT_MS, TREE_FULL, TREE_NODE};
use stockade_wire::{FileAnswer, FileKind, TreeMark, TreeNode, TreePath};

use super::{Opener, describe};

/// No file has this time.
const NEVER: (i64, u32) = (i64::MIN, 0);

type Marks = BTreeMap<TreePath, TreeMark>;

/// What was told.
#[derive(Default)]
pub struct Memory {
    /// The last look, which the host may not have heard to its end.
    last: Option<Look>,
    /// The look before it, which the host names as long as it has not.
    before: Option<(u64, Marks)>,
}

struct Look {
    generation: u64,
    marks: Marks,
    told: Vec<TreeNode>,
}

impl Memory {
    /// Looks at the tree.
    pub fn survey(&mut self, root: &OwnedFd, since: Option<u64>, still: bool) -> Result<FileAnswer> {
        let known = self.known(since);
        let (now, mut told, walked) = look(root, known.as_ref().map(|(_, marks)| marks), still);
        if let Some((_, marks)) = &known {
            told.extend(gone(marks, &now).cloned().map(|path| TreeNode::Gone { path }));
        }
        let whole = known.is_none();
        self.before = known;
        walked?;
        let answer = FileAnswer::Surveyed {
            generation: random(),
            count: u32::try_from(told.len()).map_err(|_| Errno::FBIG)?,
            whole,
        };
        if let FileAnswer::Surveyed { generation, .. } = answer {
            let marks = now;
            self.last = Some(Look {
                generation,
                marks,
                told,
            });
        }
        Ok(answer)
    }

    /// The look that the host names, out of those that are known.
    fn known(&mut self, since: Option<u64>) -> Option<(u64, Marks)> {
        let since = since?;
        let before = self.before.take();
        match self.last.take() {
            Some(last) if last.generation == since => Some((since, last.marks)),
            _ => before.filter(|(generation, _)| *generation == since),
        }
    }

    /// Some of what the last look told.
    pub fn page(&self, generation: u64, from: u32) -> Result<Vec<TreeNode>> {
        let last = self.last.as_ref().filter(|last| last.generation == generation);
        let told = &last.ok_or(Errno::STALE)?.told;
        let from = usize::try_from(from).map_err(|_| Errno::INVAL)?;
        let mut used = 0_usize;
        let fits = |node: &&TreeNode| {
            let fits = used < TREE_FULL;
            used = used
                .saturating_add(node.path().as_bytes().len())
                .saturating_add(TREE_NODE);
            fits
        };
        let rest = told.get(from..).unwrap_or_default().iter();
        Ok(rest.take(MAX_NODES).take_while(fits).cloned().collect())
    }
}

/// What is there, and what of it differs.
fn look(root: &OwnedFd, known: Option<&Marks>, still: bool) -> (Marks, Vec<TreeNode>, Result<()>) {
    let mut walk = Walk {
        opener: Opener::new(root, still),
        known,
        begun: now_ns(),
        now: Marks::new(),
        told: Vec::new(),
    };
    let walked = walk.run();
    (walk.now, walk.told, walked)
}

/// Names that were there and are not, without what was below them.
fn gone<'m>(before: &'m Marks, now: &'m Marks) -> impl Iterator<Item = &'m TreePath> {
    let is_top = |path: &TreePath| match path.parent().map(TreePath::new) {
        None => true,
        Some(Ok(parent)) => now
            .get(&parent)
            .is_some_and(|mark| mark.kind == FileKind::Directory),
        Some(Err(_)) => false,
    };
    before
        .keys()
        .filter(move |path| !now.contains_key(*path) && is_top(path))
}

/// A number that no other worker gives to a look: what one has told, another does not know.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // The process is another one, and so is the time.
        _ => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            u64::from(std::process::id()) << 40 ^ u64::try_from(now.tv_nsec).unwrap_or(0)
        }
    }
}

struct Walk<'w> {
    opener: Opener<'w>,
    known: Option<&'w Marks>,
    begun: i128,
    /// What was touched just now is told again: of that a change may not show.
    now: Marks,
    told: Vec<TreeNode>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<()> {
        let mut pending: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(at) = pending.pop() {
            match self.directory(&at, &mut pending) {
                Ok(()) => {}
                Err(error) if at.is_empty() => return Err(error),
                Err(Errno::FBIG) => return Err(Errno::FBIG),
                // Removed or exchanged meanwhile: the next look tells.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !self.opener.still => self.keep(&at),
                // Something is mounted there, of which nothing is the workspace's.
                Err(Errno::XDEV) => {}
                Err(error) => {
                    self.keep(&at);
                    self.unread(at, error);
                }
            }
        }
        Ok(())
    }

    fn directory(&mut self, at: &[u8], pending: &mut Vec<Vec<u8>>) -> Result<()> {
        let directory = self.opener.directory(at)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let path = join(at, name.to_bytes());
            if path.len() >= MAX_PATH {
                self.unread(at.to_vec(), Errno::NAMETOOLONG);
                continue;
            }
            let Ok(path) = TreePath::new(path) else {
                continue;
            };
            if self.now.len() >= MAX_TREE_NAMES {
                return Err(Errno::FBIG);
            }
            let stat = describe(&stat);
            if stat.mark.kind == FileKind::Directory {
                pending.push(path.as_bytes().to_vec());
            }
            let recent = self.is_recent(&stat.mark);
            let is_known = self.known.and_then(|known| known.get(&path)) == Some(&stat.mark);
            if recent || !is_known {
                let path = path.clone();
                self.told.push(TreeNode::Now { path, stat, recent });
            }
            let mut mark = stat.mark;
            if recent {
                mark.changed = NEVER;
            }
            self.now.insert(path, mark);
        }
        Ok(())
    }

    fn is_recent(&self, mark: &TreeMark) -> bool {
        let changed = nanoseconds(mark.changed.0, mark.changed.1.into());
        changed.saturating_add(i128::from(RECENT_MS).saturating_mul(1_000_000)) >= self.begun
    }

    /// What was known of a directory that cannot be looked into stays known.
    fn keep(&mut self, at: &[u8]) {
        let below = |path: &TreePath| {
            path.as_bytes()
                .strip_prefix(at)
                .is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        let known = self.known.into_iter().flatten();
        for (path, mark) in known.filter(|(path, _)| below(path)) {
            self.now.entry(path.clone()).or_insert(*mark);
        }
    }

    fn unread(&mut self, at: Vec<u8>, error: Errno) {
        if let Ok(path) = TreePath::new(at) {
            let errno = error.raw_os_error();
            let is_told =
                matches!(self.told.last(), Some(TreeNode::Unread { path: last, .. }) if *last == path);
            if !is_told {
                self.told.push(TreeNode::Unread { path, errno });
            }
        }
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds)
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds.into())
}

/// By the clock of files.
fn now_ns() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    nanoseconds(now.tv_sec, now.tv_nsec)
}

fn join(at: &[u8], name: &[u8]) -> Vec<u8> {
    if at.is_empty() {
        return name.to_vec();
    }
    [at, b"/", name].concat()
}
