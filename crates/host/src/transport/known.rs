//! What was known of the tree inside, and what of it is to be fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use stockade_wire::limits::MAX_TREE_NAMES;
use stockade_wire::{FileKind, TreeMark, TreeNode, TreePath, TreeStat};
use stockade_workspace::replica::mirror::Skipped;

use super::Missing;
use super::survey::Look;

/// The nodes whose content is in the copy, each with the mark that it had then. Without a mark it is to be fetched again.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<TreePath, Option<TreeMark>>);

/// A node that is to be fetched.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: TreePath,
    /// What was told of it; nothing if it is owed from before.
    pub(super) stat: Option<TreeStat>,
    /// Its mark may stay as it is when it is changed.
    pub(super) recent: bool,
}

/// All that is to be done.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) wanted: Vec<Wanted>,
    /// The same file as that of another path, which is wanted.
    pub(super) also: Vec<(Wanted, TreePath)>,
    pub(super) gone: Vec<TreePath>,
}

impl Known {
    /// All that was sent in.
    pub(super) fn learn(&mut self, nodes: Vec<TreeNode>) {
        let now = nodes.into_iter().filter_map(|node| match node {
            TreeNode::Now { path, stat, recent } => Some((path, (!recent).then_some(stat.mark))),
            TreeNode::Gone { .. } | TreeNode::Unread { .. } => None,
        });
        self.0 = now.collect();
    }

    /// What is to be fetched after a look.
    pub(super) fn wanted(&self, look: Look, missing: &mut Missing) -> Result<Work, String> {
        let mut all: BTreeMap<TreePath, Wanted> = BTreeMap::new();
        let mut seen: BTreeSet<TreePath> = BTreeSet::new();
        let mut gone: BTreeSet<TreePath> = BTreeSet::new();
        let mut unread: Vec<TreePath> = Vec::new();
        for node in look.nodes {
            match node {
                TreeNode::Now { path, stat, recent } => {
                    let is_same = !recent && self.0.get(&path) == Some(&Some(stat.mark));
                    if look.whole {
                        seen.insert(path.clone());
                    }
                    if !(look.whole && is_same) {
                        let stat = Some(stat);
                        all.insert(path.clone(), Wanted { path, stat, recent });
                    }
                }
                TreeNode::Gone { path } => {
                    gone.insert(path);
                }
                TreeNode::Unread { path, errno } => {
                    missing.add(place(&path), words(errno));
                    unread.push(path);
                }
            }
        }
        if look.whole {
            gone.extend(self.lost(&seen, &unread));
        }
        let owed = self.0.iter().filter(|(_, mark)| mark.is_none());
        for (path, _) in owed.filter(|(path, _)| !look.whole && !is_below_any(path, &gone)) {
            all.entry(path.clone()).or_insert_with(|| Wanted {
                path: path.clone(),
                stat: None,
                recent: false,
            });
        }
        if self.0.len() + all.len() > 2 * MAX_TREE_NAMES {
            return Err(format!("it told of more than {MAX_TREE_NAMES} names"));
        }
        let (wanted, also) = divide(all);
        let gone = gone.into_iter().collect();
        Ok(Work { wanted, also, gone })
    }

    /// Of a look that told everything: what was there and is not, without what was below it.
    fn lost(&self, seen: &BTreeSet<TreePath>, unread: &[TreePath]) -> Vec<TreePath> {
        let is_hidden = |path: &TreePath| unread.iter().any(|above| is_below(path, above));
        let mut lost: BTreeSet<&TreePath> = BTreeSet::new();
        let mut tops = Vec::new();
        // A directory comes before what is in it.
        for path in self
            .0
            .keys()
            .filter(|path| !seen.contains(*path) && !is_hidden(path))
        {
            lost.insert(path);
            let parent = path.parent().map(TreePath::new);
            if !matches!(parent, Some(Ok(parent)) if lost.contains(&parent)) {
                tops.push(path.clone());
            }
        }
        tops
    }

    /// What has been brought into the copy.
    pub(super) fn accept(
        &mut self,
        gone: Vec<TreePath>,
        now: Vec<(TreePath, FileKind, Option<TreeMark>)>,
        skipped: &[Skipped],
    ) {
        for path in gone {
            self.remove_below(&path);
            self.0.remove(&path);
        }
        let skipped: BTreeSet<&Path> = skipped.iter().map(|(path, _)| path.as_path()).collect();
        for (path, kind, mark) in now {
            if kind != FileKind::Directory {
                self.remove_below(&path);
            }
            let mark = mark.filter(|_| !skipped.contains(place(&path)));
            self.0.insert(path, mark);
        }
    }

    fn remove_below(&mut self, path: &TreePath) {
        // The name with a slash is no path, but where the names below begin.
        let first = [path.as_bytes(), b"/"].concat();
        let from = self.0.range(path.clone()..);
        let below: Vec<TreePath> = from
            .map(|(path, _)| path)
            .take_while(|other| other.as_bytes().starts_with(path.as_bytes()))
            .filter(|other| other.as_bytes().starts_with(&first))
            .cloned()
            .collect();
        for path in below {
            self.0.remove(&path);
        }
    }
}

/// Files with several names are fetched once.
fn divide(all: BTreeMap<TreePath, Wanted>) -> (Vec<Wanted>, Vec<(Wanted, TreePath)>) {
    let mut first_of: HashMap<(u64, (i64, u32)), TreePath> = HashMap::new();
    let (mut wanted, mut also) = (Vec::new(), Vec::new());
    for (path, one) in all {
        let linked = one
            .stat
            .filter(|stat| stat.links > 1 && stat.mark.kind == FileKind::Regular);
        let Some(stat) = linked else {
            wanted.push(one);
            continue;
        };
        match first_of.entry((stat.mark.inode, stat.mark.changed)) {
            std::collections::hash_map::Entry::Occupied(first) => also.push((one, first.get().clone())),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(path);
                wanted.push(one);
            }
        }
    }
    (wanted, also)
}

fn is_below_any(path: &TreePath, above: &BTreeSet<TreePath>) -> bool {
    above.iter().any(|one| one == path || is_below(path, one))
}

fn is_below(path: &TreePath, above: &TreePath) -> bool {
    path.as_bytes()
        .strip_prefix(above.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// As a path.
pub(super) fn place(path: &TreePath) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

/// What a guest's error number says.
pub(super) fn words(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

/// For texts.
pub(super) fn owned(path: &TreePath) -> PathBuf {
    place(path).to_owned()
}
