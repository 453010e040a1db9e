//! References of a repository on both sides. Only those whose files changed are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::bstr::{BString, ByteSlice};
use gix_ref::{FullName, Target};

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use crate::change::NodeKind;
use crate::trees::Side;

/// Longest file of one reference.
const MAX_REF_BYTES: u64 = 8 << 10;
/// Longest file of packed references: half a million of them.
const MAX_PACKED_BYTES: u64 = 64 << 20;
/// References that may have changed.
const MAX_CHANGED: usize = 100_000;
/// Names that are references of the repository, and not of one working tree or of git's own use.
const TAKEN: &[&[u8]] = &[b"refs/heads/", b"refs/tags/", b"refs/remotes/", b"refs/notes/"];

/// A reference that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefChange {
    pub(crate) name: BString,
    pub(crate) before: Option<ObjectId>,
    pub(crate) after: Option<ObjectId>,
}

/// `refs/remotes/R/HEAD` names one of `refs/remotes/R/`. It only shortens what a person types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteDefault {
    pub(crate) name: BString,
    pub(crate) to: BString,
}

/// What changed, and what of it is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefChanges {
    pub(crate) changed: Vec<RefChange>,
    /// What a clone notes of the other side: which of a remote's branches is its default. Only where the host
    /// has none.
    pub(crate) defaults: Vec<RemoteDefault>,
    /// References that are not taken over, with the reason.
    pub(crate) left: Vec<(BString, &'static str)>,
}

/// Packed references by name.
type Packed = BTreeMap<BString, ObjectId>;

/// What changed among the references.
pub(crate) fn changed(dir: &GitDir<'_>) -> GitResult<RefChanges> {
    let packed = both_packed(dir)?;
    let mut names: BTreeSet<BString> = BTreeSet::new();
    for change in dir.changes_below("refs") {
        let is_file = |entry: Option<crate::change::Entry>| {
            entry.is_some_and(|entry| entry.node != NodeKind::Directory)
        };
        if is_file(change.before) || is_file(change.after) {
            names.extend(ref_name(dir, &change.path));
        }
    }
    if let Some((before, after)) = &packed {
        names.extend(differing(before, after));
    }
    if names.len() > MAX_CHANGED {
        return Err(GitError::Limit {
            what: "references changed inside",
            limit: MAX_CHANGED.to_string(),
        });
    }
    let packed = match packed {
        Some(packed) => packed,
        None if names.is_empty() => return Ok(RefChanges::default()),
        None => {
            let host = read_packed(dir, Side::Before)?;
            (host.clone(), host)
        }
    };
    let mut found = RefChanges::default();
    for name in names {
        if let Some(why) = left_alone(&name) {
            // Lock files are what a killed git leaves.
            if !name.ends_with(b".lock") {
                found.left.push((name, why));
            }
            continue;
        }
        let before = match dir.is_new() {
            true => Ok(None),
            false => value(dir, Side::Before, &name, &packed.0),
        };
        match (before, value(dir, Side::After, &name, &packed.1)) {
            (Err(Reading::Failed(error)), _) | (_, Err(Reading::Failed(error))) => return Err(error),
            (Ok(before), Ok(after)) if before == after => {}
            (Ok(before), Ok(after)) => found.changed.push(RefChange { name, before, after }),
            (Ok(None), Err(Reading::Symbolic(to))) if is_in_same_remote(&name, &to) => {
                found.defaults.push(RemoteDefault { name, to });
            }
            (Err(Reading::Symbolic(before)), Err(Reading::Symbolic(after))) if before == after => {}
            _ => found.left.push((name, "it is a name for another reference")),
        }
    }
    Ok(found)
}

fn is_in_same_remote(name: &BString, to: &BString) -> bool {
    let remote = name
        .strip_prefix(b"refs/remotes/")
        .and_then(|name| name.strip_suffix(b"/HEAD"));
    let inner = remote.and_then(|remote| {
        let to = to.strip_prefix(b"refs/remotes/")?.strip_prefix(remote)?;
        to.strip_prefix(b"/")
    });
    inner.is_some_and(|inner| inner != b"HEAD") && left_alone(to).is_none()
}

/// Why a reference is not taken over, by its name.
fn left_alone(name: &BString) -> Option<&'static str> {
    if gix_validate::reference::name(name.as_bstr()).is_err() {
        return Some("its name is not allowed");
    }
    let is_taken = name.as_slice() == b"refs/stash" || TAKEN.iter().any(|prefix| name.starts_with(prefix));
    match name.starts_with(b"refs/replace/") {
        true => Some("it would show other content in place of existing objects"),
        false if !is_taken => Some("it is neither a branch, a tag, a note nor a stash"),
        false => None,
    }
}

/// What a reference holds, or why that is not said.
pub(crate) enum Reading {
    /// It names another reference.
    Symbolic(BString),
    /// It cannot be read.
    Failed(GitError),
}

impl From<Reading> for GitError {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Symbolic(_) => Self::form("a branch or tag is a name for another reference"),
            Reading::Failed(error) => error,
        }
    }
}

fn value(dir: &GitDir<'_>, side: Side, name: &BString, packed: &Packed) -> Result<Option<ObjectId>, Reading> {
    let path = Path::new(OsStr::from_bytes(name));
    let bytes = dir.read(side, path, MAX_REF_BYTES).map_err(Reading::Failed)?;
    match bytes {
        None => Ok(packed.get(name).copied()),
        Some(bytes) => match target(dir, path, &bytes).map_err(Reading::Failed)? {
            Target::Object(id) => Ok(Some(id)),
            Target::Symbolic(name) => Err(Reading::Symbolic(name.as_bstr().to_owned())),
        },
    }
}

/// What a loose reference holds.
fn target(dir: &GitDir<'_>, path: &Path, bytes: &[u8]) -> GitResult<Target> {
    let failed = |_| GitError::file(&dir.path.join(path), "it is no reference");
    // The name plays no part in reading the content.
    let name = FullName::try_from("HEAD").map_err(|_| GitError::form("a name"))?;
    let read = gix_ref::file::loose::Reference::try_from_path(name, bytes, gix_hash::Kind::Sha1);
    read.map(|reference| reference.target).map_err(failed)
}

/// What a repository has checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A branch, by its full name.
    Branch(BString),
    /// A commit.
    Detached(ObjectId),
}

impl Head {
    pub(crate) fn branch(&self) -> Option<&BString> {
        match self {
            Self::Branch(name) => Some(name),
            Self::Detached(_) => None,
        }
    }
}

/// What is checked out on one side; none if that is not said.
pub(crate) fn head(dir: &GitDir<'_>, side: Side) -> GitResult<Option<Head>> {
    let path = Path::new("HEAD");
    let Some(bytes) = dir.read(side, path, MAX_REF_BYTES)? else {
        return Ok(None);
    };
    Ok(Some(match target(dir, path, &bytes)? {
        Target::Object(id) => Head::Detached(id),
        Target::Symbolic(name) => Head::Branch(name.as_bstr().to_owned()),
    }))
}

/// What a reference of the host holds now.
pub(crate) fn host_value(dir: &GitDir<'_>, name: &BString) -> GitResult<Option<ObjectId>> {
    let packed = read_packed(dir, Side::Before)?;
    Ok(value(dir, Side::Before, name, &packed)?)
}

/// What the host has checked out now.
pub(crate) fn host_head(dir: &GitDir<'_>) -> GitResult<Option<Head>> {
    head(dir, Side::Before)
}

/// The host's file of packed references without some; none if it holds none of them.
pub(crate) fn packed_without(dir: &GitDir<'_>, gone: &[&BString]) -> GitResult<Option<Vec<u8>>> {
    let bytes = dir.trees.entry(Side::Before, &dir.path.join("packed-refs"));
    if dir.is_new() || !bytes.is_ok_and(|entry| entry.is_some()) {
        return Ok(None);
    }
    let path = Path::new("packed-refs");
    let bytes = dir
        .read(Side::Before, path, MAX_PACKED_BYTES)?
        .unwrap_or_default();
    let (mut kept, mut is_gone, mut any) = (Vec::with_capacity(bytes.len()), false, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // `NAME-OF-OBJECT NAME`, and after it what a tag stands for.
        if !line.starts_with(b"^") {
            let name = line.trim_end().split_once_str(b" ").map(|(_, name)| name);
            is_gone = !line.starts_with(b"#") && gone.iter().any(|gone| Some(gone.as_slice()) == name);
        }
        any |= is_gone;
        if !is_gone {
            kept.extend_from_slice(line);
        }
    }
    Ok(any.then_some(kept))
}

/// Both files of packed references, if they differ.
fn both_packed(dir: &GitDir<'_>) -> GitResult<Option<(Packed, Packed)>> {
    if dir.change(&dir.path.join("packed-refs")).is_none() {
        return Ok(None);
    }
    let before = if dir.is_new() {
        Packed::new()
    } else {
        read_packed(dir, Side::Before)?
    };
    Ok(Some((before, read_packed(dir, Side::After)?)))
}

pub(crate) fn read_packed(dir: &GitDir<'_>, side: Side) -> GitResult<Packed> {
    let path = Path::new("packed-refs");
    let bytes = dir.read(side, path, MAX_PACKED_BYTES)?.unwrap_or_default();
    let failed = || GitError::file(&dir.path.join(path), "it holds something else than references");
    let lines = gix_ref::packed::Iter::new(&bytes, gix_hash::Kind::Sha1).map_err(|_| failed())?;
    lines
        .map(|line| {
            let line = line.map_err(|_| failed())?;
            Ok((line.name.as_bstr().to_owned(), line.target()))
        })
        .collect()
}

fn differing(before: &Packed, after: &Packed) -> BTreeSet<BString> {
    let one_way = |one: &Packed, other: &Packed| {
        let names = one.iter().filter(|(name, id)| other.get(*name) != Some(id));
        names.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
    };
    &one_way(before, after) | &one_way(after, before)
}

fn ref_name(dir: &GitDir<'_>, path: &Path) -> Option<BString> {
    let name = path.strip_prefix(&dir.path).ok()?;
    Some(BString::from(name.as_os_str().as_bytes()))
}
