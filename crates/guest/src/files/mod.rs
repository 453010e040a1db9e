//! File requests. They are done by a process of their own, the file worker, behind the
//! same inner wall as commands: a file system that never answers, or a link that leads to
//! a trap, must not reach the first process of the sandbox. The worker starts with the
//! first request and ends when it has been idle.

mod operations;
mod remove;
mod resolve;
mod worker;

pub use operations::kind;
pub use resolve::open;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use stockade_wire::limits::{MAX_PENDING_FILES, MAX_TEXT};
use stockade_wire::{FileError, FileOperation, FileReply, FileRequest, RequestId};

use crate::channel::{Broken, Channel};
use crate::confine::Walls;
use crate::sys::{self, Fork};
use crate::text::bounded;

/// A worker without work for so long is let go.
const IDLE: Duration = Duration::from_secs(2);

/// The requests that wait, and who does them.
pub struct Files {
    walls: Walls,
    worker: Option<Worker>,
    waiting: VecDeque<FileRequest>,
    replies: Vec<FileReply>,
}

/// The guest's side of the worker.
struct Worker {
    channel: Channel<FileReply>,
    /// What it is doing.
    busy: Option<RequestId>,
    idle_since: Instant,
    /// It remembers what it told of a tree.
    remembers: bool,
}

impl Files {
    /// Without a worker.
    pub fn new(walls: Walls) -> Self {
        Self {
            walls,
            worker: None,
            waiting: VecDeque::new(),
            replies: Vec::new(),
        }
    }

    /// Takes a request.
    pub fn request(&mut self, request: FileRequest, now: Instant) {
        if self.waiting.len() >= MAX_PENDING_FILES {
            let text = format!("{MAX_PENDING_FILES} file requests wait already: wait for a reply");
            return self.refuse(request.id, Some(libc::EAGAIN), text);
        }
        self.waiting.push_back(request);
        self.work(now);
    }

    /// Gives the worker the next request, if it has none.
    fn work(&mut self, now: Instant) {
        if self.worker.as_ref().is_some_and(|worker| worker.busy.is_some()) {
            return;
        }
        let Some(request) = self.waiting.pop_front() else {
            return;
        };
        if self.worker.is_none() {
            match start(self.walls) {
                Ok(channel) => {
                    self.worker = Some(Worker {
                        channel,
                        busy: None,
                        idle_since: now,
                        remembers: false,
                    })
                }
                Err(error) => {
                    let text = format!("cannot start the process that handles files: {error}");
                    return self.refuse(request.id, error.raw_os_error(), text);
                }
            }
        }
        let Some(worker) = &mut self.worker else { return };
        worker.busy = Some(request.id);
        worker.remembers |= matches!(request.operation, FileOperation::Survey { .. });
        worker.channel.queue(&request);
        if worker.channel.flush().is_err() {
            self.worker_gone(now);
        }
    }

    /// The worker has said something, can be told something, or is gone.
    pub fn handle(&mut self, scratch: &mut [u8], now: Instant) {
        let Some(worker) = &mut self.worker else { return };
        let received = worker
            .channel
            .flush()
            .and_then(|()| worker.channel.receive(scratch));
        match received {
            Ok(replies) => {
                if !replies.is_empty() {
                    worker.busy = None;
                    worker.idle_since = now;
                }
                self.replies.extend(replies);
                self.work(now);
            }
            Err(Broken) => self.worker_gone(now),
        }
    }

    fn worker_gone(&mut self, now: Instant) {
        if let Some(id) = self.worker.take().and_then(|worker| worker.busy) {
            self.refuse(
                id,
                Some(libc::EIO),
                "the process that handles files was ended".to_owned(),
            );
        }
        self.work(now);
    }

    fn refuse(&mut self, id: RequestId, errno: Option<i32>, text: String) {
        let error = FileError {
            errno: errno.unwrap_or(0),
            text: bounded(text, MAX_TEXT),
        };
        self.replies.push(FileReply {
            id,
            result: Err(error),
        });
    }

    /// Takes what is to be sent to the host.
    pub fn replies(&mut self) -> Vec<FileReply> {
        std::mem::take(&mut self.replies)
    }

    /// The host that asked is gone; it will ask again. The worker goes too, as its answer
    /// has nobody to go to.
    pub fn forget_all(&mut self) {
        self.waiting.clear();
        self.replies.clear();
        self.worker = None;
    }

    /// No more files.
    pub fn end(&mut self) {
        self.forget_all();
    }

    /// What to wait for.
    pub fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.worker
            .as_ref()
            .map(|worker| (worker.channel.as_fd(), worker.channel.interest(true)))
    }

    /// When [`Self::expire`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.worker
            .as_ref()
            .filter(|worker| worker.busy.is_none() && !worker.remembers)
            .map(|worker| worker.idle_since + IDLE)
    }

    /// Lets an idle worker go: it ends when its socket does.
    pub fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.worker = None;
        }
    }
}

/// Starts a worker.
fn start(walls: Walls) -> std::io::Result<Channel<FileReply>> {
    let (ours, theirs): (OwnedFd, OwnedFd) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    match sys::fork()? {
        Fork::Child => worker::run(walls, theirs),
        Fork::Parent(_) => Ok(Channel::new(ours)?),
    }
}
