//! One object: whether it is what its kind has to be, and what it refers to.

use gix_hash::ObjectId;
use gix_object::{CommitRef, Kind, TagRef, TreeRef};
use gix_validate::path::component;

use super::error::{GitError, GitResult};

/// What an object refers to, with the kind that it must have there.
pub(crate) type Links = Vec<(ObjectId, Kind)>;

/// No name that git or a careless file system would take for its own directory.
pub(crate) const NAMES: component::Options = component::Options {
    protect_windows: false,
    protect_hfs: true,
    protect_ntfs: true,
};

/// Reads an object, and says what it refers to.
pub(crate) fn links(id: &gix_hash::oid, kind: Kind, data: &[u8]) -> GitResult<Links> {
    let broken = |what: &str| GitError::object(id, format!("is a broken {what}"));
    match kind {
        Kind::Blob => Ok(Vec::new()),
        Kind::Tree => tree(id, data),
        Kind::Commit => {
            let commit = CommitRef::from_bytes(data, gix_hash::Kind::Sha1).map_err(|_| broken("commit"))?;
            let parents = commit.parents().map(|parent| (parent, Kind::Commit));
            Ok(std::iter::once((commit.tree(), Kind::Tree))
                .chain(parents)
                .collect())
        }
        Kind::Tag => {
            let tag = TagRef::from_bytes(data, gix_hash::Kind::Sha1).map_err(|_| broken("tag"))?;
            Ok(vec![(tag.target(), tag.target_kind)])
        }
    }
}

fn tree(id: &gix_hash::oid, data: &[u8]) -> GitResult<Links> {
    let tree = TreeRef::from_bytes(data, gix_hash::Kind::Sha1);
    let tree = tree.map_err(|_| GitError::object(id, "is a broken tree"))?;
    let mut links = Vec::with_capacity(tree.entries.len());
    for entry in &tree.entries {
        let is_link = entry.mode.is_link();
        let mode = is_link.then_some(component::Mode::Symlink);
        if gix_validate::path::component(entry.filename, mode, NAMES).is_err() {
            return Err(GitError::object(
                id,
                "is a tree with a name that is not allowed in one",
            ));
        }
        if entry.mode.is_commit() {
            continue; // a submodule: its commit is in another repository
        }
        let kind = if entry.mode.is_tree() {
            Kind::Tree
        } else {
            Kind::Blob
        };
        links.push((entry.oid.to_owned(), kind));
    }
    let sorted = tree.entries.windows(2).all(|pair| {
        let order = |entry: &gix_object::tree::EntryRef<'_>| (entry.filename.to_vec(), entry.mode.is_tree());
        let ((a, a_tree), (b, b_tree)) = (order(&pair[0]), order(&pair[1]));
        gix_object::tree::name_order(&a, a_tree, &b, b_tree).is_lt()
    });
    if !sorted {
        return Err(GitError::object(id, "is a tree whose names are out of order"));
    }
    Ok(links)
}
