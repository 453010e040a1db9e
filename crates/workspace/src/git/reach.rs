//! Everything that new references reach and the host does not have: looked at, object by
//! object, and put in an order in which nothing is written before what it refers to. So an
//! object that the host has is there with all that it needs, whenever writing ends.

use std::collections::HashMap;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::error::{GitError, GitResult};
use super::object::{Links, links};
use super::store::Store;

/// New objects of one apply.
const MAX_OBJECTS: usize = 2_000_000;

/// The new objects, what is referred to before what refers to it.
pub(crate) struct Reach<'s, 'd> {
    store: &'s Store<'d>,
    /// Kinds of all objects that were met.
    seen: HashMap<ObjectId, Kind>,
    new: Vec<ObjectId>,
}

/// An object of which not everything was looked at yet.
struct Open {
    id: ObjectId,
    links: Links,
}

impl<'s, 'd> Reach<'s, 'd> {
    pub(crate) fn new(store: &'s Store<'d>) -> Self {
        Self {
            store,
            seen: HashMap::new(),
            new: Vec::new(),
        }
    }

    pub(crate) fn into_new(self) -> Vec<ObjectId> {
        self.new
    }

    /// Looks at an object with all that it reaches. Without recursion: histories are long.
    pub(crate) fn add(&mut self, id: ObjectId, wanted: Option<Kind>) -> GitResult<Kind> {
        let mut open: Vec<Open> = Vec::new();
        let kind = self.meet(id, wanted, &mut open)?;
        while let Some(top) = open.last_mut() {
            match top.links.pop() {
                Some((id, kind)) => {
                    self.meet(id, Some(kind), &mut open)?;
                }
                None => {
                    let done = open.pop();
                    self.new.extend(done.map(|done| done.id));
                }
            }
        }
        Ok(kind)
    }

    fn meet(&mut self, id: ObjectId, wanted: Option<Kind>, open: &mut Vec<Open>) -> GitResult<Kind> {
        let expect = |kind: Kind| match wanted {
            Some(wanted) if wanted != kind => Err(GitError::object(
                &id,
                format!("is a {kind}, and a {wanted} is expected there"),
            )),
            _ => Ok(kind),
        };
        if let Some(kind) = self.seen.get(&id) {
            return expect(*kind);
        }
        if let Some(kind) = self.store.host_kind(&id)? {
            self.seen.insert(id, kind);
            return expect(kind);
        }
        let object = self.store.inside(&id)?;
        let object = object.ok_or_else(|| GitError::object(&id, "is missing"))?;
        let kind = expect(object.kind)?;
        self.seen.insert(id, kind);
        if self.seen.len() > MAX_OBJECTS {
            return Err(GitError::Limit {
                what: "objects made inside",
                limit: MAX_OBJECTS.to_string(),
            });
        }
        open.push(Open {
            id,
            links: links(&id, kind, &object.data)?,
        });
        Ok(kind)
    }
}
