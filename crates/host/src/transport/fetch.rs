//! Contents, from inside into a stage.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use stockade_wire::limits::{MAX_WANTS, TREE_FULL, TREE_NODE};
use stockade_wire::{
    Attribute, FileAnswer, FileKind, FileOperation, TreeContent, TreeMark, TreePart, TreePath, TreeResult,
    TreeStat, TreeWant,
};
use stockade_workspace::replica::mirror::{Stage, Staged, Step, Traits};
use tokio::task::JoinSet;

use super::Missing;
use super::known::{Wanted, Work, owned, place, words};
use crate::error::{Error, Result};
use crate::session::Session;

/// Requests at once; others may have some, too.
const LANES: usize = 6;
/// What a file takes of a disk at least, and in steps of which it does: holes are free, but what stands between them is
/// not, however little.
const BLOCK: u64 = 4096;

/// What is to be fetched, and where to.
pub(super) struct Job {
    shared: Mutex<Shared>,
    still: bool,
    limit: u64,
}

struct Shared {
    stage: Stage,
    queue: VecDeque<Wanted>,
    also: Vec<(Wanted, TreePath)>,
    /// What may still be written.
    room: u64,
    done: Taken,
}

#[derive(Default)]
struct Taken {
    steps: Vec<Step>,
    now: Vec<(TreePath, FileKind, Option<TreeMark>)>,
    gone: Vec<TreePath>,
    missing: Missing,
    nodes: u64,
    bytes: u64,
}

/// What came of it.
pub(super) struct Done {
    pub(super) stage: Stage,
    pub(super) steps: Vec<Step>,
    pub(super) now: Vec<(TreePath, FileKind, Option<TreeMark>)>,
    pub(super) gone: Vec<TreePath>,
    pub(super) missing: Missing,
    pub(super) nodes: u64,
    pub(super) bytes: u64,
}

/// Why a node is not taken.
enum Failed {
    /// The guest, or the conversation with it, is at fault.
    Session(Error),
    /// This node only.
    Node(String),
    /// It is not there any more; the next look tells.
    Vanished,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl Job {
    pub(super) fn new(stage: Stage, work: Work, limit: u64, still: bool) -> Self {
        let Work { wanted, also, gone } = work;
        let done = Taken {
            steps: gone
                .iter()
                .map(|path| Step::Remove(path.as_bytes().to_vec()))
                .collect(),
            gone,
            ..Taken::default()
        };
        Self {
            shared: Mutex::new(Shared {
                stage,
                queue: wanted.into(),
                also,
                room: limit,
                done,
            }),
            still,
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next nodes, as many as a message holds.
    fn next(&self) -> Vec<Wanted> {
        let mut shared = self.lock();
        let mut used = 0;
        let mut batch = Vec::new();
        while used < TREE_FULL && batch.len() < MAX_WANTS {
            let Some(one) = shared.queue.pop_front() else {
                break;
            };
            used += one.path.as_bytes().len() + TREE_NODE;
            batch.push(one);
        }
        batch
    }

    /// Takes room on the disk. Small writes far from each other take a block each.
    fn charge(&self, at: u64, bytes: u64) -> Result<(), Failed> {
        let first = at / BLOCK;
        let end = at.saturating_add(bytes).div_ceil(BLOCK).max(first + 1);
        let cost = (end - first).saturating_mul(BLOCK);
        let mut shared = self.lock();
        match shared.room.checked_sub(cost) {
            Some(room) => {
                shared.room = room;
                shared.done.bytes += bytes;
                Ok(())
            }
            None => Err(Failed::Node(format!(
                "more than {} bytes would have to be fetched",
                self.limit
            ))),
        }
    }
}

/// Fetches all of it.
pub(super) async fn fetch(session: &Arc<Session>, root: &Path, job: Job) -> Result<Done> {
    let job = Arc::new(job);
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (session, root, job) = (Arc::clone(session), root.to_owned(), Arc::clone(&job));
        lanes.spawn(async move { lane(&session, &root, &job).await });
    }
    while let Some(ended) = lanes.join_next().await {
        ended.map_err(|_| Error::Cancelled {
            what: "fetching the workspace".to_owned(),
        })??;
    }
    let cancelled = || Error::Cancelled {
        what: "fetching the workspace".to_owned(),
    };
    let job = Arc::into_inner(job).ok_or_else(cancelled)?;
    let shared = job.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Shared {
        stage, also, done, ..
    } = shared;
    let mut done = Done {
        stage,
        steps: done.steps,
        now: done.now,
        gone: done.gone,
        missing: done.missing,
        nodes: done.nodes,
        bytes: done.bytes,
    };
    link_names(&mut done, also);
    Ok(done)
}

/// Further names of files that have come.
fn link_names(done: &mut Done, also: Vec<(Wanted, TreePath)>) {
    let came: HashMap<TreePath, (FileKind, Option<TreeMark>)> = done
        .now
        .iter()
        .map(|(path, kind, mark)| (path.clone(), (*kind, *mark)))
        .collect();
    for (one, first) in also {
        match came.get(&first) {
            Some((FileKind::Regular, mark)) => {
                let (path, of) = (one.path.as_bytes().to_vec(), first.as_bytes().to_vec());
                done.steps.push(Step::Also(path, of));
                done.now.push((one.path, FileKind::Regular, *mark));
                done.nodes += 1;
            }
            _ => {
                done.missing.add(
                    place(&one.path),
                    format!("it is the same file as {}", owned(&first).display()),
                );
                done.now.push((one.path, FileKind::Regular, None));
            }
        }
    }
}

/// One request after another, until nothing is left.
async fn lane(session: &Session, root: &Path, job: &Job) -> Result<()> {
    loop {
        let batch = job.next();
        if batch.is_empty() {
            return Ok(());
        }
        let wants = batch.iter().map(|one| want(&one.path, 0)).collect();
        let parts = ask(session, root, wants, job.still).await?;
        let mut rest = batch.into_iter();
        for part in parts {
            let Some(one) = rest.next() else {
                return Err(session.protocol("it answered what was not asked"));
            };
            match node(session, root, job, &one, part).await {
                Ok(()) => {}
                Err(Failed::Session(error)) => return Err(error),
                Err(Failed::Node(why)) => job.miss(one, Some(why)),
                Err(Failed::Vanished) => job.miss(one, None),
            }
        }
        let mut shared = job.lock();
        for one in rest.rev() {
            shared.queue.push_front(one);
        }
    }
}

fn want(path: &TreePath, offset: u64) -> TreeWant {
    let path = path.clone();
    TreeWant { path, offset }
}

/// At least one part.
async fn ask(session: &Session, root: &Path, wants: Vec<TreeWant>, still: bool) -> Result<Vec<TreeResult>> {
    let most = wants.len();
    let answer = session.file(root, FileOperation::Fetch { wants, still }).await?;
    match answer {
        FileAnswer::Parts(parts) if !parts.is_empty() && parts.len() <= most => Ok(parts),
        FileAnswer::Parts(_) => Err(session.protocol("it answered more or less than was asked")),
        other => Err(session.unfit(&other)),
    }
}

async fn node(
    session: &Session,
    root: &Path,
    job: &Job,
    one: &Wanted,
    part: TreeResult,
) -> Result<(), Failed> {
    let path = one.path.as_bytes().to_vec();
    let TreePart {
        stat,
        attributes,
        content,
    } = match part {
        Ok(part) => part,
        Err(errno) => return unreadable(job, one, errno),
    };
    let traits = traits(&stat, attributes);
    let (step, mark) = match (stat.mark.kind, content) {
        (FileKind::Regular, TreeContent::Bytes { at, bytes, last }) => {
            let (number, stat) = file(session, root, job, one, (stat, traits), (at, bytes, last)).await?;
            (Step::Put(path, number), stat.mark)
        }
        (FileKind::Symlink, TreeContent::Target(target)) => {
            job.charge(0, 0)?;
            let made = job.lock().stage.link(&target, stat.modified);
            (Step::Put(path, made.map_err(on_disk)?), stat.mark)
        }
        (FileKind::Directory, TreeContent::Nothing) => {
            job.charge(0, 0)?;
            job.lock().done.steps.push(Step::Directory(path.clone()));
            (Step::Close(path, traits), stat.mark)
        }
        (kind @ (FileKind::Fifo | FileKind::Socket), TreeContent::Nothing) => {
            let socket = kind == FileKind::Socket;
            let mode = stat.mark.mode;
            (Step::Special { path, socket, mode }, stat.mark)
        }
        // No device is made here. What it hides inside is gone all the same.
        (FileKind::CharDevice | FileKind::BlockDevice | FileKind::Unknown, TreeContent::Nothing) => {
            job.lock()
                .done
                .missing
                .add(place(&one.path), "it is a device, which no change set holds");
            (Step::Remove(path), stat.mark)
        }
        _ => {
            return Err(session
                .protocol("it sent a content that its node cannot have")
                .into());
        }
    };
    let is_as_told = one.stat.is_none_or(|told| told.mark == mark);
    let mut shared = job.lock();
    shared.done.nodes += 1;
    shared.done.steps.push(step);
    let mark_now = (is_as_told && !one.recent).then_some(mark);
    shared.done.now.push((one.path.clone(), mark.kind, mark_now));
    Ok(())
}

/// What is there and cannot be read. Of a directory enough was told.
fn unreadable(job: &Job, one: &Wanted, errno: i32) -> Result<(), Failed> {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
    if gone.contains(&errno) && !job.still {
        return Err(Failed::Vanished);
    }
    if let Some(told) = one.stat.filter(|told| told.mark.kind == FileKind::Directory) {
        let path = one.path.as_bytes().to_vec();
        let mut shared = job.lock();
        shared.done.steps.push(Step::Directory(path.clone()));
        shared
            .done
            .steps
            .push(Step::Close(path, traits(&told, Vec::new())));
        shared
            .done
            .now
            .push((one.path.clone(), FileKind::Directory, None));
        return Ok(());
    }
    Err(Failed::Node(words(errno)))
}

type Piece = (u64, Vec<u8>, bool);

/// All parts of a file. What it grows by meanwhile is left for the next time.
async fn file(
    session: &Session,
    root: &Path,
    job: &Job,
    one: &Wanted,
    (mut stat, traits): (TreeStat, Traits),
    (mut at, mut bytes, mut last): Piece,
) -> Result<(u32, TreeStat), Failed> {
    let size = stat.size;
    let staged: Staged = job.lock().stage.file().map_err(on_disk)?;
    let mut offset = 0;
    job.charge(0, 0)?;
    loop {
        if at < offset {
            return Err(session.protocol("it sent a part of a file twice").into());
        }
        let fits = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
        bytes.truncate(fits);
        if !bytes.is_empty() {
            let count = u64::try_from(bytes.len()).unwrap_or(0);
            job.charge(at, count)?;
            // Into the page cache, and less than a chunk.
            staged.write(at, &bytes).map_err(on_disk)?;
            offset = at + count;
        } else if !last && at < size {
            return Err(session.protocol("it sent a part of a file that is empty").into());
        }
        if last || offset >= size || at >= size {
            break;
        }
        let mut parts = ask(session, root, vec![want(&one.path, offset)], job.still).await?;
        let part = match parts.pop() {
            Some(Ok(part)) => part,
            Some(Err(_)) if !job.still => return Err(Failed::Vanished),
            Some(Err(errno)) => return Err(Failed::Node(words(errno))),
            None => return Err(session.protocol("it answered nothing").into()),
        };
        let TreeContent::Bytes {
            at: next_at,
            bytes: more,
            last: is_last,
        } = part.content
        else {
            return Err(Failed::Vanished);
        };
        (stat, at, bytes, last) = (part.stat, next_at, more, is_last);
    }
    let number = staged.number;
    staged.finish(stat.size.min(size), &traits).map_err(on_disk)?;
    Ok((number, stat))
}

fn traits(stat: &TreeStat, attributes: Vec<Attribute>) -> Traits {
    Traits {
        mode: stat.mark.mode,
        modified: stat.modified,
        attributes: attributes.into_iter().map(|one| (one.name, one.value)).collect(),
    }
}

/// A full disk is told of the whole, and a size that no file here can have of the one node.
fn on_disk(error: std::io::Error) -> Failed {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            Failed::Session(Error::io("write below the state directory", error))
        }
        _ => Failed::Node(error.to_string()),
    }
}

impl Job {
    /// It stays as it was, and is asked for again.
    fn miss(&self, one: Wanted, why: Option<String>) {
        let mut shared = self.lock();
        if let Some(why) = why {
            shared.done.missing.add(place(&one.path), why);
        }
        let kind = one.stat.map_or(FileKind::Unknown, |stat| stat.mark.kind);
        // What may still be a directory keeps what is known below it.
        let kind = if kind == FileKind::Unknown {
            FileKind::Directory
        } else {
            kind
        };
        shared.done.now.push((one.path, kind, None));
    }
}
