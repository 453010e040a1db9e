//! Objects of a repository: those of the host, and those that were made inside. Of the latter
//! each is hashed when it is read, and the library's hash sees attempts at collisions.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use gix_hash::oid;
use gix_object::{Exists, Find, FindHeader, Kind};
use gix_odb::pack;

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use crate::change::{Change, NodeKind};
use crate::trees::Side;

/// Largest object that is taken over.
const MAX_OBJECT_BYTES: u64 = 512 << 20;
/// Memory that decoding one object of a pack may take.
const MAX_PACKED_OBJECT_BYTES: usize = 256 << 20;
/// Work on all objects of one repository: bytes that are made from what is stored.
const MAX_BYTES: u64 = 64 << 30;
/// Deltas on the way to one object: git makes at most 50 unless it is told otherwise.
const MAX_DELTAS: usize = 512;
/// Largest index of a pack.
const MAX_INDEX_BYTES: u64 = 512 << 20;
/// Packs made inside.
const MAX_PACKS: usize = 1000;
/// A pack up to this size is read at once; a larger one is mapped.
const MAX_READ_BYTES: u64 = 64 << 20;
/// Longest header of a loose object: kind, size, and some.
const HEADER_BYTES: usize = 64;

/// An object that was made inside, hashed.
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) data: Vec<u8>,
}

/// Both stores of one repository.
pub(crate) struct Store<'a> {
    dir: &'a GitDir<'a>,
    host: Option<gix_odb::Handle>,
    packs: OnceCell<Vec<Pack>>,
    left_bytes: Cell<u64>,
    /// The sandbox may still write: nothing of it is mapped.
    live: bool,
}

/// A pack that was made inside.
struct Pack {
    path: PathBuf,
    index: pack::index::File<Vec<u8>>,
    data: Data,
}

enum Data {
    Read(pack::data::File<Vec<u8>>),
    Mapped(pack::data::File),
}

impl<'a> Store<'a> {
    /// Opens the stores.
    pub(crate) fn open(dir: &'a GitDir<'a>, live: bool) -> GitResult<Self> {
        let path = dir.path.join("objects");
        let host = match dir.is_new() {
            true => None,
            false => {
                let root = dir.trees.root(Side::Before);
                let root = root.ok_or_else(|| GitError::form("the project is gone"))?;
                let open = Path::new("/proc/self/fd").join(root.as_raw_fd().to_string());
                let store = gix_odb::at(open.join(&path), gix_hash::Kind::Sha1);
                Some(store.map_err(|error| GitError::file(&path, error))?)
            }
        };
        Ok(Self {
            dir,
            host,
            packs: OnceCell::new(),
            left_bytes: Cell::new(MAX_BYTES),
            live,
        })
    }

    /// True if the host has an object.
    pub(crate) fn host_has(&self, id: &oid) -> bool {
        self.host.as_ref().is_some_and(|host| host.exists(id))
    }

    /// The kind of an object of the host.
    pub(crate) fn host_kind(&self, id: &oid) -> GitResult<Option<Kind>> {
        let Some(host) = &self.host else { return Ok(None) };
        let header = host.try_header(id).map_err(|error| unreadable(id, &error))?;
        Ok(header.map(|header| header.kind))
    }

    /// An object of the host.
    pub(crate) fn host_object(&self, id: &oid) -> GitResult<Option<Object>> {
        let Some(host) = &self.host else { return Ok(None) };
        let mut data = Vec::new();
        let found = host
            .try_find(id, &mut data)
            .map_err(|error| unreadable(id, &error))?;
        Ok(found.map(|found| Object {
            kind: found.kind,
            data: found.data.to_vec(),
        }))
    }

    /// A commit, of the host or from inside, with whether it is the host's; none if there is no
    /// such object. A tag is no commit.
    pub(crate) fn commit<T>(
        &self,
        id: &oid,
        read: impl FnOnce(gix_object::CommitRef<'_>, bool) -> T,
    ) -> GitResult<Option<T>> {
        let (object, of_host) = match self.host_object(id)? {
            Some(object) => (Some(object), true),
            None => (self.inside(id)?, false),
        };
        let Some(object) = object.filter(|object| object.kind == Kind::Commit) else {
            return Ok(None);
        };
        let commit = gix_object::CommitRef::from_bytes(&object.data, gix_hash::Kind::Sha1);
        let commit = commit.map_err(|_| GitError::object(id, "is a broken commit"))?;
        Ok(Some(read(commit, of_host)))
    }

    /// An object that was made inside; none if there is no such.
    pub(crate) fn inside(&self, id: &oid) -> GitResult<Option<Object>> {
        let object = match self.loose(id)? {
            Some(object) => object,
            None => match self.packed(id)? {
                Some(object) => object,
                None => return Ok(None),
            },
        };
        let hash = gix_object::compute_hash(gix_hash::Kind::Sha1, object.kind, &object.data);
        match hash {
            Ok(hash) if *hash == *id => Ok(Some(object)),
            Ok(_) => Err(GitError::object(id, "holds something else than its name says")),
            Err(_) => Err(GitError::object(id, "was made to collide with another")),
        }
    }

    fn charge(&self, bytes: u64) -> GitResult {
        let left = self.left_bytes.get().checked_sub(bytes);
        self.left_bytes.set(left.ok_or(GitError::Limit {
            what: "the objects made inside",
            limit: format!("{} GiB", MAX_BYTES >> 30),
        })?);
        Ok(())
    }

    fn loose(&self, id: &oid) -> GitResult<Option<Object>> {
        let hex = id.to_string();
        let (fan, rest) = hex.split_at(2);
        let path = self.dir.path.join("objects").join(fan).join(rest);
        if !self.dir.change(&path).is_some_and(is_file_inside) {
            return Ok(None);
        }
        let file = self.dir.file(Side::After, &path)?;
        let broken = || GitError::object(id, "cannot be unpacked");
        let mut plain = ZlibDecoder::new(file);
        let mut head = [0; HEADER_BYTES];
        let filled = fill(&mut plain, &mut head).map_err(|_| broken())?;
        let head = head.get(..filled).unwrap_or_default();
        let (kind, bytes, header_len) = gix_object::decode::loose_header(head).map_err(|_| broken())?;
        if bytes > MAX_OBJECT_BYTES {
            return Err(too_large(id, MAX_OBJECT_BYTES));
        }
        self.charge(bytes)?;
        let mut data = head.get(header_len..).unwrap_or_default().to_vec();
        let read = plain.take(bytes + 1).read_to_end(&mut data);
        read.map_err(|_| broken())?;
        if u64::try_from(data.len()).ok() != Some(bytes) {
            return Err(GitError::object(id, "has another size than it says"));
        }
        Ok(Some(Object { kind, data }))
    }

    fn packed(&self, id: &oid) -> GitResult<Option<Object>> {
        let packs = match self.packs.get() {
            Some(packs) => packs,
            None => {
                let opened = self.open_packs()?;
                self.packs.get_or_init(|| opened)
            }
        };
        for pack in packs {
            if let Some(at) = pack.index.lookup(id) {
                let offset = pack.index.pack_offset_at_index(at);
                return match &pack.data {
                    Data::Read(data) => self.decode(id, pack, data, offset),
                    Data::Mapped(data) => self.decode(id, pack, data, offset),
                }
                .map(Some);
            }
        }
        Ok(None)
    }

    fn decode<T: pack::FileData>(
        &self,
        id: &oid,
        pack: &Pack,
        data: &pack::data::File<T>,
        offset: u64,
    ) -> GitResult<Object> {
        let broken = || {
            GitError::object(
                id,
                format!("cannot be taken out of {}", crate::name::shown(&pack.path)),
            )
        };
        let entry = data.entry(offset).map_err(|_| broken())?;
        let deltas = chain(pack, data, entry.clone()).ok_or_else(broken)?;
        if deltas > MAX_DELTAS {
            return Err(GitError::object(
                id,
                format!("is made of more than {MAX_DELTAS} deltas"),
            ));
        }
        if entry.decompressed_size > MAX_PACKED_OBJECT_BYTES as u64 {
            return Err(too_large(id, MAX_PACKED_OBJECT_BYTES as u64));
        }
        let mut bytes = Vec::new();
        let in_pack = |base: &oid, _: &mut Vec<u8>| {
            let at = pack
                .index
                .lookup(base)
                .map(|at| pack.index.pack_offset_at_index(at));
            let entry = at.map(|offset| data.entry(offset)).transpose()?;
            Ok(entry.map(pack::data::decode::entry::ResolvedBase::InPack))
        };
        let mut inflate = gix_zlib::Inflate::default();
        let outcome = data.decode_entry(entry, &mut bytes, &mut inflate, &in_pack, &mut pack::cache::Never);
        let outcome = outcome.map_err(|_| broken())?;
        // Each delta writes a whole object.
        self.charge(
            outcome
                .object_size
                .saturating_mul(u64::from(outcome.num_deltas) + 1),
        )?;
        Ok(Object {
            kind: outcome.kind,
            data: bytes,
        })
    }

    fn open_packs(&self) -> GitResult<Vec<Pack>> {
        let mut packs = Vec::new();
        for change in self.dir.changes_below("objects/pack") {
            let is_pack = change
                .path
                .extension()
                .is_some_and(|extension| extension == "pack");
            if !is_pack || !is_file_inside(change) {
                continue;
            }
            let index = change.path.with_extension("idx");
            if !self.dir.change(&index).is_some_and(is_file_inside) {
                continue; // half made: nothing can be looked up in it
            }
            if packs.len() == MAX_PACKS {
                return Err(GitError::Limit {
                    what: "packs made inside",
                    limit: MAX_PACKS.to_string(),
                });
            }
            packs.push(self.open_pack(change, &index)?);
        }
        Ok(packs)
    }

    fn open_pack(&self, change: &Change, index_path: &Path) -> GitResult<Pack> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |_| GitError::file(&path, "it is damaged")
        };
        let path = change.path.clone();
        let index = self.read_all(index_path, MAX_INDEX_BYTES)?;
        let index = pack::index::File::from_data(index, index_path.to_owned(), gix_hash::Kind::Sha1)
            .map_err(failed(index_path))?;
        let kind = gix_hash::Kind::Sha1;
        let limit = Some(MAX_PACKED_OBJECT_BYTES);
        let data = if change.bytes() <= MAX_READ_BYTES {
            let bytes = self.read_all(&path, MAX_READ_BYTES)?;
            let data = pack::data::File::from_data(bytes, path.clone(), kind).map_err(failed(&path))?;
            Data::Read(data.with_alloc_limit_bytes(limit))
        } else if self.live {
            return Err(GitError::file(
                &path,
                "it is large and a sandbox may be writing it: look again when that has ended",
            ));
        } else {
            let file = self.dir.file(Side::After, &path)?;
            // The descriptor was opened beneath the change set; its name there leads nowhere else.
            let open = format!("/proc/self/fd/{}", file.as_raw_fd());
            let data = pack::data::File::at(open, kind).map_err(failed(&path))?;
            Data::Mapped(data.with_alloc_limit_bytes(limit))
        };
        Ok(Pack { path, index, data })
    }

    fn read_all(&self, path: &Path, max_bytes: u64) -> GitResult<Vec<u8>> {
        let file: File = self.dir.file(Side::After, path)?;
        let mut bytes = Vec::new();
        let read = file.take(max_bytes + 1).read_to_end(&mut bytes);
        read.map_err(|error| GitError::file(path, error))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
            return Err(GitError::file(
                path,
                format!("it has more than {max_bytes} bytes"),
            ));
        }
        Ok(bytes)
    }
}

/// How many deltas lead to an object; none if they lead nowhere, or round.
fn chain<T: pack::FileData>(
    pack: &Pack,
    data: &pack::data::File<T>,
    entry: pack::data::Entry,
) -> Option<usize> {
    use pack::data::entry::Header;
    let mut entry = entry;
    for deltas in 0..=MAX_DELTAS {
        let offset = match entry.header {
            Header::OfsDelta { base_distance } => entry.checked_base_pack_offset(base_distance)?,
            Header::RefDelta { base_id } => pack.index.pack_offset_at_index(pack.index.lookup(base_id)?),
            _ => return Some(deltas),
        };
        entry = data.entry(offset).ok()?;
    }
    Some(MAX_DELTAS + 1)
}

fn is_file_inside(change: &Change) -> bool {
    change.after.is_some_and(|after| after.node == NodeKind::File)
}

fn unreadable(id: &oid, error: &impl std::fmt::Display) -> GitError {
    GitError::object(id, format!("of the host cannot be read: {error}"))
}

fn too_large(id: &oid, limit_bytes: u64) -> GitError {
    GitError::object(id, format!("is larger than {} MiB", limit_bytes >> 20))
}

fn fill(from: &mut impl Read, to: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
