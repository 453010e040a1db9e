//! The index: what is to be committed next. Of the one that was written inside only paths,
//! modes and object names are taken. What git remembers of files in it (times, inodes, flags that
//! say not to look) could claim that a file is unchanged which is not; so that comes from the
//! host's own index where the entry is the same, and else git looks for itself.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix_hash::ObjectId;
use gix_index::State;
use gix_index::entry::{Flags, Mode, Stage};
use gix_object::bstr::{BStr, BString, ByteSlice};
use gix_object::{Kind, TreeRef};
use gix_validate::path::component;
use sha1::{Digest, Sha1};

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use super::object::NAMES;
use super::reach::Reach;
use super::store::Store;
use crate::trees::Side;

/// Largest index: some millions of files.
pub(crate) const MAX_BYTES: u64 = 1 << 30;
/// Memory that one part of it may take.
const MAX_ALLOCATION_BYTES: usize = 2 << 30;
/// Flags that say not to look at a file.
const UNSEEN: Flags = Flags::ASSUME_VALID.union(Flags::SKIP_WORKTREE);
/// Deepest path.
const MAX_DEPTH: usize = 1000;

/// Reads an index; an empty one where there is none.
pub(crate) fn read(dir: &GitDir<'_>, side: Side) -> GitResult<State> {
    let path = dir.path.join("index");
    match dir.read(side, Path::new("index"), MAX_BYTES)? {
        None => Ok(State::new(gix_hash::Kind::Sha1)),
        Some(bytes) => {
            let state = decode(&bytes).ok_or_else(|| GitError::file(&path, "it is no index"))?;
            if state.link().is_some() || state.is_sparse() {
                return Err(GitError::file(&path, "it is split or sparse"));
            }
            Ok(state)
        }
    }
}

fn decode(bytes: &[u8]) -> Option<State> {
    let options = gix_index::decode::Options {
        thread_limit: Some(1),
        alloc_limit_bytes: Some(MAX_ALLOCATION_BYTES),
        ..gix_index::decode::Options::default()
    };
    let kind = gix_hash::Kind::Sha1;
    let never = State::new(kind).timestamp();
    State::from_bytes(bytes, never, kind, options)
        .ok()
        .map(|(state, _)| state)
}

/// The index that the host gets: the entries from inside, checked. Adds what they name to `reach`.
pub(crate) fn taken(
    inside: &State,
    host: &State,
    dir: &GitDir<'_>,
    reach: &mut Reach<'_, '_>,
) -> GitResult<Vec<u8>> {
    let path = dir.path.join("index");
    let known: HashMap<(&BStr, Stage), &gix_index::Entry> = host
        .entries()
        .iter()
        .map(|entry| ((entry.path(host), entry.stage()), entry))
        .collect();
    let mut new = State::new(gix_hash::Kind::Sha1);
    let mut before: Option<(BString, Stage)> = None;
    for entry in inside.entries() {
        let name = entry.path(inside);
        check_name(name, entry.mode)
            .ok_or_else(|| GitError::file(&path, "it holds a path that is not allowed"))?;
        let at = (name.to_owned(), entry.stage());
        if before
            .as_ref()
            .is_some_and(|before| (&before.0, before.1) >= (&at.0, at.1))
        {
            return Err(GitError::file(&path, "its paths are out of order"));
        }
        before = Some(at);
        let is_to_come = entry.flags.contains(Flags::INTENT_TO_ADD);
        if entry.mode != Mode::COMMIT && !is_to_come {
            reach.add(entry.id, Some(Kind::Blob))?;
        }
        let of_host = known.get(&(name, entry.stage()));
        let same = of_host.filter(|host| host.id == entry.id && host.mode == entry.mode);
        let stat = same.map(|host| host.stat).unwrap_or_default();
        let mut flags = Flags::from_stage(entry.stage());
        // What the host itself does not look at, for example in a sparse checkout.
        let unseen = of_host.map_or(Flags::empty(), |host| host.flags & UNSEEN);
        flags.insert(unseen);
        flags.set(Flags::INTENT_TO_ADD, is_to_come);
        flags.set(
            Flags::EXTENDED,
            is_to_come || unseen.contains(Flags::SKIP_WORKTREE),
        );
        new.dangerously_push_entry(stat, entry.id, flags, entry.mode, name);
    }
    encode(&new).ok_or_else(|| GitError::file(&path, "it cannot be written anew"))
}

/// With its checksum at the end, as git wants it.
fn encode(state: &State) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = gix_index::write::Options {
        extensions: gix_index::write::Extensions::None,
        skip_hash: false,
    };
    state.write_to(&mut bytes, options).ok()?;
    let sum = Sha1::digest(&bytes);
    bytes.extend_from_slice(&sum);
    Some(bytes)
}

/// Only what can be a path of a working tree.
fn check_name(name: &BStr, mode: Mode) -> Option<()> {
    let is_known = [Mode::FILE, Mode::FILE_EXECUTABLE, Mode::SYMLINK, Mode::COMMIT].contains(&mode);
    let parts: Vec<&[u8]> = name.split_str(b"/").collect();
    let last = parts.len().checked_sub(1)?;
    if !is_known || parts.len() > MAX_DEPTH {
        return None;
    }
    for (number, part) in parts.iter().enumerate() {
        let mode = (number == last && mode == Mode::SYMLINK).then_some(component::Mode::Symlink);
        gix_validate::path::component(part.as_bstr(), mode, NAMES).ok()?;
    }
    Some(())
}

/// True if an index has a path.
pub(crate) fn has(state: &State, name: &Path) -> bool {
    let name = BStr::new(name.as_os_str().as_bytes());
    state.prefixed_entries(name).is_some_and(|entries| {
        entries.iter().any(|entry| {
            let path = entry.path(state);
            path == name || path.get(name.len()) == Some(&b'/')
        })
    })
}

/// What an index says, whatever it remembers of files. Git writes it anew when it has only looked.
pub(crate) fn meaning(bytes: &[u8]) -> Option<String> {
    let state = decode(bytes)?;
    let mut hash = Sha1::new();
    for entry in state.entries() {
        let path = entry.path(&state);
        hash.update(u64::try_from(path.len()).ok()?.to_le_bytes());
        hash.update(path);
        hash.update(entry.mode.bits().to_le_bytes());
        hash.update(entry.stage_raw().to_le_bytes());
        hash.update([u8::from(entry.flags.contains(Flags::INTENT_TO_ADD))]);
        hash.update(entry.id.as_bytes());
    }
    let name = hash.finalize();
    Some(name.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// True if two indexes hold the same entries.
pub(crate) fn say_the_same(one: &State, other: &State) -> bool {
    let of = |state: &State| -> Vec<_> {
        let entry = |entry: &gix_index::Entry| {
            (
                entry.path(state).to_owned(),
                entry.stage_raw(),
                entry.mode,
                entry.id,
            )
        };
        state.entries().iter().map(entry).collect()
    };
    one.entries().len() == other.entries().len() && of(one) == of(other)
}

/// True if nothing is staged in the host's index: it holds what a commit of the host holds.
pub(crate) fn is_as_committed(host: &State, store: &Store<'_>, commit: Option<ObjectId>) -> GitResult<bool> {
    let Some(commit) = commit else {
        return Ok(host.entries().is_empty());
    };
    let Some(tree) = store.commit(&commit, |commit, _| commit.tree())? else {
        return Ok(false);
    };
    let mut committed = BTreeSet::new();
    let mut pending = vec![(BString::default(), tree)];
    while let Some((prefix, tree)) = pending.pop() {
        let object = store.host_object(&tree)?;
        let object = object.ok_or_else(|| GitError::object(&tree, "of the host is missing"))?;
        let tree = TreeRef::from_bytes(&object.data, gix_hash::Kind::Sha1);
        for entry in tree
            .map_err(|_| GitError::object(&commit, "has a broken tree"))?
            .entries
        {
            let mut path = prefix.clone();
            path.extend_from_slice(entry.filename);
            if entry.mode.is_tree() {
                path.push(b'/');
                pending.push((path, entry.oid.to_owned()));
            } else {
                committed.insert((path, u32::from(entry.mode.value()), entry.oid.to_owned()));
            }
        }
    }
    let same = |entry: &gix_index::Entry| {
        let path = entry.path(host).to_owned();
        entry.stage() == Stage::Unconflicted && committed.contains(&(path, entry.mode.bits(), entry.id))
    };
    Ok(host.entries().len() == committed.len() && host.entries().iter().all(same))
}

/// A path of the workspace as one of the working tree.
pub(crate) fn relative<'p>(dir: &GitDir<'_>, path: &'p Path) -> Option<&'p Path> {
    let name = path.strip_prefix(dir.worktree()).ok()?;
    (name.components().next()?.as_os_str() != OsStr::new(".git")).then_some(name)
}
