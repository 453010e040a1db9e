//! Who starts which program inside, for the record: a thread of its own is told by the kernel
//! before each start, reads who it is, and lets the start go on, always. Another thread writes.
//! Neither decides anything, and neither waits for the supervisor or for a disk.
//!
//! If the first thread ended while the sandbox lives, its descriptor would close and every
//! further start would fail (ENOSYS): nothing runs unrecorded.

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use stockade_domain::Exit;
use stockade_linux::seccomp::{Listener, Origin, Program, Question, Watched};

use super::event::{Event, Lost, Start};
use super::log::AuditLog;
use crate::error::{Error, Result};
use crate::state::unix_ms;

/// What waits to be written. Beyond it starts are counted, and not recorded.
const MAX_WAITING: usize = 8192;
/// Written at once, so that other events find the log free.
const MAX_BATCH: usize = 512;
/// How long records are gathered before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// How long ends are gathered before they are looked at.
const GATHER_ENDS: Duration = Duration::from_millis(50);
/// Processes whose ends are watched at once, if the limit on descriptors leaves room.
const MAX_WATCHED: u64 = 4096;

/// How long the last records may take after the sandbox has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Is told of starts from the first process on. What it hears waits until it is recorded.
pub struct Watcher {
    /// The lock only lets it be seen from several threads.
    heard: Mutex<Receiver<(At, Heard)>>,
    shared: Arc<Shared>,
}

/// What both threads and the supervisor see.
#[derive(Default)]
struct Shared {
    /// Tries of the guest itself: the control of the receipt.
    by_guest: AtomicU32,
    /// Starts and ends that found no room.
    lost: AtomicU64,
}

/// Something that was heard.
enum Heard {
    Start(Seen),
    End { pid: u32, status: Option<i32> },
    Failed(String),
}

/// When it was heard, in milliseconds since 1970.
type At = u64;

/// A start as it was read.
struct Seen {
    origin: Option<Origin>,
    thread: u32,
    program: std::result::Result<Program, Errno>,
}

impl Watcher {
    /// Waits, beside this thread, for what the guest passes through the door, and listens.
    pub(crate) fn start(door: &OwnedFd, guest: u32) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("listen to program starts", error);
        let door = door.try_clone().map_err(failed)?;
        let ends = Ends::new().map_err(|error| failed(error.into()))?;
        let shared = Arc::new(Shared::default());
        let (sender, heard) = sync_channel(MAX_WAITING);
        let listening = Listening {
            ends,
            guest,
            shared: Arc::clone(&shared),
            sender,
        };
        std::thread::Builder::new()
            .name("stockade-starts".to_owned())
            .spawn(move || listening.run(door))
            .map_err(failed)?;
        Ok(Self {
            heard: Mutex::new(heard),
            shared,
        })
    }

    /// How often the guest itself tried to start a program.
    pub(crate) fn told_by_guest(&self) -> u32 {
        self.shared.by_guest.load(Ordering::Acquire)
    }

    /// Records what is heard, beside this thread.
    pub(crate) fn record(self, audit: Arc<Mutex<AuditLog>>) -> Result<Recorder> {
        let (ended, done) = channel();
        let thread = std::thread::Builder::new()
            .name("stockade-audit".to_owned())
            .spawn(move || {
                let heard = self.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
                write(&heard, &self.shared, &audit);
                let _ = ended.send(());
            })
            .map_err(|error| Error::io("record program starts", error))?;
        Ok(Recorder {
            thread: thread.thread().clone(),
            done: Mutex::new(done),
        })
    }
}

/// Writes until the sandbox has ended.
pub struct Recorder {
    thread: Thread,
    done: Mutex<Receiver<()>>,
}

impl Recorder {
    /// Waits for the last records of a sandbox that has ended.
    pub(crate) fn finish(&self) -> Result<()> {
        self.thread.unpark();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.recv_timeout(FAREWELL).map_err(|_| Error::Timeout {
            what: "recording the last program starts".to_owned(),
            after: FAREWELL,
        })
    }
}

fn write(heard: &Receiver<(At, Heard)>, shared: &Shared, audit: &Mutex<AuditLog>) {
    while let Ok(first) = heard.recv() {
        std::thread::park_timeout(GATHER);
        let mut next = Some(first);
        while let Some(first) = next {
            let events = gathered(std::iter::once(first).chain(heard.try_iter().take(MAX_BATCH)));
            let mut log = audit.lock().unwrap_or_else(PoisonError::into_inner);
            for (at, event) in &events {
                // What cannot be written waits in the log, and is counted there beyond a bound.
                let _ = log.note_at(event, *at);
            }
            let _ = log.flush();
            drop(log);
            next = heard.try_recv().ok();
        }
    }
    let count = shared.lost.load(Ordering::Relaxed);
    if count > 0 {
        let mut log = audit.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.note(&lost(count, "they came faster than they could be written"));
    }
}

fn lost(count: u64, why: &str) -> Event {
    Event::Lost {
        what: Lost::Processes,
        count,
        why: why.to_owned(),
    }
}

/// One record for a process that looks for its program in one directory after the other. All
/// names are kept: whether one of them was a program that started the next is not known.
fn gathered(heard: impl Iterator<Item = (At, Heard)>) -> Vec<(At, Event)> {
    let mut events: Vec<(At, Event)> = Vec::new();
    let mut last: HashMap<u32, usize> = HashMap::new();
    for (at, heard) in heard {
        let new = event(heard);
        if let Event::ProcessStarted(start) = &new {
            let before = last.get(&start.pid).and_then(|index| events.get_mut(*index));
            if let Some((_, Event::ProcessStarted(before))) = before
                && before.is_same_but_for_its_name(start)
            {
                let name = std::mem::replace(&mut before.program, start.program.clone());
                before.tried.push(name);
                continue;
            }
            last.insert(start.pid, events.len());
        }
        events.push((at, new));
    }
    events
}

fn event(heard: Heard) -> Event {
    match heard {
        Heard::Start(seen) => Event::ProcessStarted(seen.into()),
        Heard::End { pid, status } => Event::ProcessEnded {
            pid,
            exit: status.map(exit),
        },
        Heard::Failed(why) => lost(0, &why),
    }
}

/// As wait(2) tells it.
fn exit(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    }
}

impl From<Seen> for Start {
    fn from(seen: Seen) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut start = Self {
            pid: seen.origin.map_or(seen.thread, |origin| origin.pid),
            parent: seen
                .origin
                .map(|origin| origin.parent)
                .filter(|parent| *parent != 0),
            ..Self::default()
        };
        match seen.program {
            Ok(program) => {
                start.program = text(&program.name);
                start.argv = program.arguments.iter().map(|argument| text(argument)).collect();
                start.cwd = program.directory.as_deref().map(text);
            }
            Err(error) => start.unread = Some(format!("the process's memory: {error}")),
        }
        start
    }
}

/// The thread that is told.
struct Listening {
    ends: Ends,
    guest: u32,
    shared: Arc<Shared>,
    sender: SyncSender<(At, Heard)>,
}

/// Why to go on.
enum Next {
    Wait,
    Told,
    Look,
    Over,
}

impl Listening {
    fn run(mut self, door: OwnedFd) {
        // Without one there is no sandbox, and who makes it knows why.
        let Some(listener) = receive_listener(&door) else {
            return;
        };
        // The guest ends when all copies of the door are closed.
        drop(door);
        if let Err(error) = self.listen(&Listener::new(listener)) {
            self.say(Heard::Failed(format!("listening to program starts: {error}")));
        }
        self.look_at_ends();
    }

    fn listen(&mut self, listener: &Listener) -> rustix::io::Result<()> {
        loop {
            match self.ends.wait(listener)? {
                Next::Wait => {}
                Next::Told => self.answer(listener)?,
                Next::Look => self.look_at_ends(),
                Next::Over => return Ok(()),
            }
        }
    }

    fn answer(&mut self, listener: &Listener) -> rustix::io::Result<()> {
        let Some(question) = listener.receive()? else {
            return Ok(());
        };
        let seen = self.look(&question);
        // If it has been killed meanwhile, something else may have had its number.
        let is_its_own = listener.still_waits(&question);
        if is_its_own && question.thread == self.guest {
            // Before it goes on: then the receipt counts it for sure.
            self.shared.by_guest.fetch_add(1, Ordering::Release);
        }
        listener.go_on(&question)?;
        if is_its_own && question.thread != self.guest {
            let (seen, watched) = seen;
            if let Some(watched) = watched {
                self.replace(watched);
            }
            self.say(Heard::Start(seen));
        }
        Ok(())
    }

    fn look(&mut self, question: &Question) -> (Seen, Option<Watched>) {
        let (watched, origin) = match Watched::find(question.thread) {
            Ok((watched, origin)) => (Some(watched), Some(origin)),
            // Before Linux 6.13.
            Err(_) => (None, Origin::from_status(question.thread).ok()),
        };
        let seen = Seen {
            origin,
            thread: question.thread,
            program: Program::read(question),
        };
        (seen, watched)
    }

    /// Watches for the end of a process. One that has become another program again is
    /// watched once; one that had its number before has ended.
    fn replace(&mut self, watched: Watched) {
        if let Some(before) = self.ends.watched.get(&watched.pid) {
            match before.end() {
                Ok(None) => return,
                Ok(status) => self.ended(watched.pid, status),
                Err(_) => self.ended(watched.pid, None),
            }
        }
        if !self.ends.watch(watched) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ended(&mut self, pid: u32, status: Option<i32>) {
        self.ends.watched.remove(&pid);
        self.say(Heard::End { pid, status });
    }

    fn look_at_ends(&mut self) {
        loop {
            let gone = self.ends.gone();
            for pid in &gone {
                // Before Linux 6.15 the kernel does not tell how.
                let status = self
                    .ends
                    .watched
                    .get(pid)
                    .map(|watched| watched.end().unwrap_or(None));
                if let Some(status) = status {
                    self.ended(*pid, status);
                }
            }
            if gone.is_empty() {
                return;
            }
        }
    }

    fn say(&self, heard: Heard) {
        if self.sender.try_send((unix_ms(), heard)).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for the guest's message.
fn receive_listener(door: &OwnedFd) -> Option<OwnedFd> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0u8; 1];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(door, &mut [IoSliceMut::new(&mut byte)], &mut control, flags) {
            Ok(message) if message.bytes == 1 && byte == *b"N" => {
                return control.drain().find_map(|item| match item {
                    RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
                    _ => None,
                });
            }
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Processes that started a program and have not ended.
struct Ends {
    epoll: OwnedFd,
    watched: HashMap<u32, Watched>,
    most: usize,
    /// When to look at them; none while nothing happens, and then any end wakes.
    look_at: Option<Instant>,
}

impl Ends {
    fn new() -> rustix::io::Result<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = limit.unwrap_or(u64::MAX) / 2;
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            watched: HashMap::new(),
            most: usize::try_from(half.min(MAX_WATCHED)).unwrap_or(0),
            look_at: None,
        })
    }

    /// Sleeps until a start is told, or until it is time to look at ends.
    fn wait(&mut self, listener: &Listener) -> rustix::io::Result<Next> {
        let now = Instant::now();
        if self.look_at.is_some_and(|at| at <= now) {
            return Ok(Next::Look);
        }
        let timeout = self
            .look_at
            .and_then(|at| Timespec::try_from(at.saturating_duration_since(now)).ok());
        let mut waits = vec![PollFd::new(listener, PollFlags::IN)];
        if timeout.is_none() {
            waits.push(PollFd::new(&self.epoll, PollFlags::IN));
        }
        match poll(&mut waits, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let flags: Vec<PollFlags> = waits.iter().map(PollFd::revents).collect();
        let told = flags.first().copied().unwrap_or(PollFlags::empty());
        if told.contains(PollFlags::IN) {
            return Ok(Next::Told);
        }
        if told.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(Next::Over);
        }
        if flags.get(1).is_some_and(|ends| !ends.is_empty()) {
            // Others end at the same time, most often.
            self.look_at = Some(Instant::now() + GATHER_ENDS);
        }
        Ok(Next::Wait)
    }

    fn watch(&mut self, watched: Watched) -> bool {
        if self.watched.len() >= self.most {
            return false;
        }
        let data = epoll::EventData::new_u64(watched.pid.into());
        // No flags: only that it is gone, and has been waited for, is of interest.
        if epoll::add(&self.epoll, &watched, data, epoll::EventFlags::empty()).is_err() {
            return false;
        }
        self.watched.insert(watched.pid, watched);
        self.look_at.get_or_insert_with(|| Instant::now() + GATHER_ENDS);
        true
    }

    /// Those that have ended since this was last asked.
    fn gone(&mut self) -> Vec<u32> {
        let mut events = Vec::with_capacity(256);
        let none = Timespec::default();
        let found = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&none));
        if found.is_err() {
            return Vec::new();
        }
        // Nothing more: the next end wakes.
        self.look_at = None;
        let number = |event: &epoll::Event| u32::try_from(event.data.u64()).ok();
        events.iter().filter_map(number).collect()
    }
}
