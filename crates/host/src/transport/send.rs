//! The copy of the workspace, into the sandbox.

use std::collections::VecDeque;
use std::fs::{File, Metadata, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use stockade_wire::limits::{MAX_NODES, TREE_FULL, TREE_NODE, TREE_PIECE};
use stockade_wire::{Attribute, FileAnswer, FileOperation, Plant, PlantNode, TreePath};
use stockade_workspace::replica::COPY;
use stockade_workspace::replica::mirror;

use super::blocking;
use crate::error::{Error, Result};
use crate::session::{AskedFile, Session};

/// Requests at once: the guest does them in their order.
const AHEAD: usize = 6;

/// Sends all of it, each directory before what is in it.
pub(super) async fn send(session: &Session, root: &Path, changes: &Path) -> Result<()> {
    let mut reader = Reader::new(changes)?;
    let mut under_way: VecDeque<AskedFile> = VecDeque::new();
    loop {
        let (back, batch) = blocking(move || {
            let batch = reader.batch()?;
            Ok((reader, batch))
        })
        .await?;
        reader = back;
        if batch.is_empty() {
            break;
        }
        if under_way.len() >= AHEAD
            && let Some(first) = under_way.pop_front()
        {
            done(session, first).await?;
        }
        under_way.push_back(session.ask_file(root, FileOperation::Plant { nodes: batch })?);
    }
    for one in under_way {
        done(session, one).await?;
    }
    Ok(())
}

async fn done(session: &Session, asked: AskedFile) -> Result<()> {
    match asked.answer().await? {
        FileAnswer::Done => Ok(()),
        other => Err(session.unfit(&other)),
    }
}

/// Where a walk through the copy is. The copy is ours, and nobody writes to it.
struct Reader {
    copy: PathBuf,
    /// What is to be done, the last first.
    pending: Vec<Next>,
}

enum Next {
    Enter(PathBuf),
    Close(PathBuf, Metadata),
    File(PathBuf, Open),
}

/// A file of which a part was sent.
struct Open {
    file: File,
    meta: Metadata,
    at: u64,
}

impl Reader {
    fn new(changes: &Path) -> Result<Self> {
        let copy = changes.join(COPY);
        let mut reader = Self {
            copy,
            pending: Vec::new(),
        };
        reader.enter(Path::new(""))?;
        Ok(reader)
    }

    /// The next nodes, as many as a message holds; none at the end.
    fn batch(&mut self) -> Result<Vec<PlantNode>> {
        let (mut nodes, mut used) = (Vec::new(), 0);
        while used < TREE_FULL && nodes.len() < MAX_NODES {
            let Some(next) = self.pending.pop() else {
                break;
            };
            if let Some(node) = self.next(next)? {
                used += size(&node);
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    fn next(&mut self, next: Next) -> Result<Option<PlantNode>> {
        match next {
            Next::Enter(path) => self.node(path),
            Next::Close(path, meta) => {
                let attributes = File::open(self.copy.join(&path))
                    .map_or(Ok(Vec::new()), |directory| attributes(&directory))
                    .map_err(|error| self.failed(&path, error))?;
                node(&path, &meta, attributes, Plant::Close).map(Some)
            }
            Next::File(path, open) => self.part(path, open, Vec::new()).map(Some),
        }
    }

    fn node(&mut self, path: PathBuf) -> Result<Option<PlantNode>> {
        let place = self.copy.join(&path);
        let meta = std::fs::symlink_metadata(&place).map_err(|error| self.failed(&path, error))?;
        if meta.is_dir() {
            self.pending.push(Next::Close(path.clone(), meta.clone()));
            self.enter(&path)?;
            return node(&path, &meta, Vec::new(), Plant::Directory).map(Some);
        }
        if meta.is_symlink() {
            let target = std::fs::read_link(&place).map_err(|error| self.failed(&path, error))?;
            let target = target.as_os_str().as_bytes().to_vec();
            return node(&path, &meta, Vec::new(), Plant::Target(target)).map(Some);
        }
        if !meta.is_file() {
            return Ok(None);
        }
        let file = open(&place, &meta).map_err(|error| self.failed(&path, error))?;
        let attributes = attributes(&file).map_err(|error| self.failed(&path, error))?;
        let open = Open { file, meta, at: 0 };
        self.part(path, open, attributes).map(Some)
    }

    fn enter(&mut self, at: &Path) -> Result<()> {
        let listed = match std::fs::read_dir(self.copy.join(at)) {
            Ok(listed) => listed,
            // What its owner may not list was not copied either.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(self.failed(at, error)),
        };
        for entry in listed {
            let entry = entry.map_err(|error| self.failed(at, error))?;
            self.pending.push(Next::Enter(at.join(entry.file_name())));
        }
        Ok(())
    }

    fn part(&mut self, path: PathBuf, mut open: Open, attributes: Vec<Attribute>) -> Result<PlantNode> {
        let size = open.meta.size();
        let (at, bytes) = piece(&open.file, open.at, size).map_err(|error| self.failed(&path, error))?;
        let next = at + u64::try_from(bytes.len()).unwrap_or(0);
        let is_last = next >= size || bytes.is_empty();
        // The first part makes the file, whatever it begins with.
        let at = if open.at == 0 && bytes.is_empty() { 0 } else { at };
        let what = Plant::Bytes {
            at,
            bytes,
            first: open.at == 0,
            size: is_last.then_some(size),
        };
        let made = node(&path, &open.meta, attributes, what)?;
        if !is_last {
            open.at = next;
            self.pending.push(Next::File(path, open));
        }
        Ok(made)
    }

    fn failed(&self, path: &Path, error: std::io::Error) -> Error {
        Error::io(
            format!("read {} of the copy of the workspace", path.display()),
            error,
        )
    }
}

/// What its owner may not read was readable when it was copied.
fn open(place: &Path, meta: &Metadata) -> std::io::Result<File> {
    match File::open(place) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let mode = meta.mode() & 0o7777;
            std::fs::set_permissions(place, Permissions::from_mode(mode | 0o400))?;
            let opened = File::open(place);
            std::fs::set_permissions(place, Permissions::from_mode(mode))?;
            opened
        }
        other => other,
    }
}

/// The next stretch of data.
fn piece(file: &File, offset: u64, size: u64) -> std::io::Result<(u64, Vec<u8>)> {
    if offset >= size {
        return Ok((offset, Vec::new()));
    }
    let at = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(at) => at,
        Err(Errno::NXIO) => return Ok((size, Vec::new())),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => offset,
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(at))
        .unwrap_or(size)
        .min(size);
    let length = usize::try_from(end.saturating_sub(at)).map_or(TREE_PIECE, |length| length.min(TREE_PIECE));
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok((at, bytes))
}

fn attributes(of: &File) -> std::io::Result<Vec<Attribute>> {
    let found = mirror::attributes(of.as_fd())?.into_iter();
    Ok(found.map(|(name, value)| Attribute { name, value }).collect())
}

fn node(path: &Path, meta: &Metadata, attributes: Vec<Attribute>, what: Plant) -> Result<PlantNode> {
    let place = TreePath::new(path.as_os_str().as_bytes());
    Ok(PlantNode {
        path: place.map_err(|error| Error::Carry {
            operation: "sent in",
            cause: Box::new(Error::File {
                path: path.to_owned(),
                errno: 0,
                text: error.to_string(),
            }),
        })?,
        mode: meta.mode() & 0o7777,
        modified: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or(0)),
        attributes,
        what,
    })
}

fn size(node: &PlantNode) -> usize {
    let content = match &node.what {
        Plant::Bytes { bytes, .. } | Plant::Target(bytes) => bytes.len(),
        Plant::Directory | Plant::Close => 0,
    };
    let attributes = node.attributes.iter().map(|one| one.name.len() + one.value.len());
    TREE_NODE + node.path.as_bytes().len() + content + attributes.sum::<usize>()
}
