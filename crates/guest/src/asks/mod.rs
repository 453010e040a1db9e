//! Commands inside ask for checkpoints. There are pipes for it, because they work behind every
//! wall: sockets are refused in some sandboxes, and commands get no descriptors but their streams.
//!
//! Requests come on one named pipe; each is a single write. The answer goes to a pipe that the
//! asking command has made beside it. All of that directory is the sandbox's own: whatever is done
//! there keeps nobody from anything but asking.

mod client;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use stockade_wire::{Answer, Ask, AskId, Decoder, MAX_ASKS, Request, encode};

pub use client::{AskError, ask};

/// The pipe on which requests come.
const REQUESTS: &str = "asks";
/// What the names of pipes for answers begin with.
const ANSWERS: &str = "answer-";

/// Requests that wait for those before them, at most.
const MAX_LATER: usize = 64;

/// Who asked for what, as far as there is no answer.
pub struct Asks {
    directory: OwnedFd,
    requests: OwnedFd,
    /// The begin of a request whose end did not fit.
    cut: Vec<u8>,
    open: Vec<(AskId, [u8; 8])>,
    next: u32,
    waiting: Vec<Ask>,
    /// Read already, and more than may be asked at once.
    later: VecDeque<Request>,
}

impl Asks {
    /// Makes the pipe of requests in a directory.
    pub fn listen(directory: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
        make_pipe(&directory, REQUESTS)?;
        // Also for writing: it must not end when nobody asks.
        let requests = open_pipe(&directory, REQUESTS, OFlags::RDWR)?;
        Ok(Self {
            directory,
            requests,
            cut: Vec::new(),
            open: Vec::new(),
            next: 0,
            waiting: Vec::new(),
            later: VecDeque::new(),
        })
    }

    /// What to wait for; none while as much is asked for as may be.
    pub fn wanted(&self) -> Option<BorrowedFd<'_>> {
        (self.open.len() < MAX_ASKS).then(|| self.requests.as_fd())
    }

    /// Reads what was asked for. What is no request is passed over, byte by byte, so that junk hides
    /// no request that comes after it.
    pub fn read(&mut self, scratch: &mut [u8], connected: bool) {
        let Ok(count) = rustix::io::read(&self.requests, &mut *scratch) else {
            return;
        };
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(scratch.get(..count).unwrap_or_default());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let mut after = rest;
            match Decoder::<Request>::default().next(&mut after) {
                Ok(Some(request)) => {
                    self.take(request, connected);
                    rest = after;
                    continue;
                }
                // Pipes do not cut requests, but a buffer that is full does.
                Ok(None) if count == scratch.len() => {
                    self.cut = rest.to_vec();
                    return;
                }
                Ok(None) | Err(_) => rest = rest.get(1..).unwrap_or_default(),
            }
        }
    }

    fn take(&mut self, request: Request, connected: bool) {
        if !connected {
            return self.reply(
                request.token,
                &refused("the supervisor is out of reach for a moment"),
            );
        }
        if self.open.len() < MAX_ASKS {
            self.begin(request);
        } else if self.later.len() < MAX_LATER {
            self.later.push_back(request);
        } else {
            self.reply(request.token, &refused("too much is asked for at once"));
        }
    }

    fn begin(&mut self, request: Request) {
        let id = AskId(self.next);
        self.next = self.next.wrapping_add(1);
        self.open.push((id, request.token));
        self.waiting.push(Ask {
            id,
            what: request.what,
        });
    }

    /// What the host has not been asked yet.
    pub fn take_waiting(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.waiting)
    }

    /// The host has answered.
    pub fn answer(&mut self, id: AskId, answer: &Answer) {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == id) {
            let (_, token) = self.open.swap_remove(at);
            self.reply(token, answer);
            if let Some(next) = self.later.pop_front() {
                self.begin(next);
            }
        }
    }

    /// Nobody will answer any more.
    pub fn forget_all(&mut self) {
        self.waiting.clear();
        let open = std::mem::take(&mut self.open).into_iter().map(|(_, token)| token);
        let later = std::mem::take(&mut self.later).into_iter().map(|one| one.token);
        for token in open.chain(later) {
            self.reply(token, &refused("the supervisor was lost: ask again"));
        }
    }

    /// Whoever does not listen any more misses it.
    fn reply(&self, token: [u8; 8], answer: &Answer) {
        let mut frame = Vec::new();
        if encode(answer, &mut frame).is_ok()
            && let Ok(pipe) = open_pipe(&self.directory, &answer_name(token), OFlags::WRONLY)
        {
            let _ = rustix::io::write(&pipe, &frame);
        }
    }
}

fn refused(why: &str) -> Answer {
    Answer::Refused(why.to_owned())
}

fn answer_name(token: [u8; 8]) -> String {
    format!("{ANSWERS}{:016x}", u64::from_be_bytes(token))
}

fn make_pipe(directory: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    rustix::fs::mknodat(directory, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
}

/// Opens a pipe, and nothing else, without waiting for its other end.
fn open_pipe(directory: &OwnedFd, name: &str, access: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let pipe = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&pipe)?.st_mode) {
        FileType::Fifo => Ok(pipe),
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests;
