//! Objects on their way into the host's store: packed small, named by what they hold.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix_hash::ObjectId;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::put::{Like, make_directory, make_file};
use crate::files::random_name;
use crate::git::Store;
use crate::journal::Pause;
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// Git makes objects unwritable.
const MODE: u32 = 0o444;

/// Writes objects in their order. What is there already stays as it is. Objects that no reference
/// leads to are nothing to git, so there is nothing to take back if this ends early.
pub(super) fn write(
    to: &Place,
    objects: &[ObjectId],
    store: &Store<'_>,
    like: Like,
    pause: Pause<'_>,
) -> WriteResult {
    for id in objects {
        pause("object");
        let object = store.inside(id).map_err(WriteError::git)?;
        let object = object.ok_or_else(|| WriteError::git(crate::git::GitError::object(id, "is missing")))?;
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        let header = gix_object::encode::loose_header(object.kind, object.data.len() as u64);
        let written = packed
            .write_all(&header)
            .and_then(|()| packed.write_all(&object.data));
        let bytes = written.and_then(|()| packed.finish());
        let path = name_of(id);
        let bytes = bytes.map_err(|cause| WriteError::stage(Path::new(&path), cause))?;
        put(to, id, &bytes, like).map_err(|cause| WriteError::stage(Path::new(&path), cause))?;
    }
    Ok(())
}

fn put(to: &Place, id: &ObjectId, bytes: &[u8], like: Like) -> Result<(), Errno> {
    let hex = id.to_string();
    let (fan, rest) = hex.split_at(2);
    let directory = match make_directory(to.root(), fan, like) {
        Ok(directory) => directory,
        Err(Errno::EXIST) => to.below(fan)?,
        Err(cause) => return Err(cause),
    };
    // The name that git gives to what it is writing: it removes what was left of it.
    let draft = format!("tmp_obj_{}", random_name());
    make_file(directory.root(), &draft, bytes, MODE, like.owner)?;
    let root = directory.root();
    let moved = match rustix::fs::renameat_with(root, &draft, root, rest, RenameFlags::NOREPLACE) {
        // A file system without this flag. What stands there has the same name, so the same content.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(root, &draft, root, rest),
        other => other,
    };
    if moved.is_err() {
        let _ = rustix::fs::unlinkat(root, &draft, AtFlags::empty());
    }
    match moved {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn name_of(id: &ObjectId) -> String {
    format!(".git/objects/{id}")
}
