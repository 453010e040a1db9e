//! The event loop.

mod ending;
mod events;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use stockade_wire::{Hello, Resume, ToGuest, ToHost, WireError};

use crate::asks::Asks;
use crate::channel::Channel;
use crate::confine::Walls;
use crate::door::{self, Visit};
use crate::exec::Execs;
use crate::files::Files;
use crate::moved::Places;
use crate::setup::Ready;
use crate::sys;
use ending::Ending;
use events::Event;

/// Bytes that are read at once from anything.
const SCRATCH: usize = 64 << 10;

/// Beyond this the host has to read before it is heard again.
const UNREAD_BOUND: usize = 1 << 20;

/// Exit code if the guest cannot even begin.
const CANNOT_SERVE: i32 = 125;

/// Serves commands and files until the host asks for the end. Ends this process itself if
/// the supervisor is gone. Returns the exit code.
pub fn serve(ready: Ready) -> i32 {
    match Guest::new(ready) {
        Ok(mut guest) => {
            while !guest.turn() {}
            // Where there is a PID namespace, the kernel would do it too.
            guest.kill_all();
            0
        }
        Err(_) => CANNOT_SERVE,
    }
}

/// The stream to the host.
struct Link {
    channel: Channel<ToGuest>,
    /// The host's greeting has come.
    greeted: bool,
}

/// All that the guest knows.
struct Guest {
    door: OwnedFd,
    link: Option<Link>,
    signals: OwnedFd,
    walls: Walls,
    /// All that can be signalled is the sandbox's.
    contained: bool,
    moved: Places,
    execs: Execs,
    files: Files,
    /// None where commands may ask for nothing.
    asks: Option<Asks>,
    /// Where they are to, once the host has greeted.
    asks_at: Option<PathBuf>,
    hello: Hello,
    /// No process is left below this one, as far as was seen.
    childless: bool,
    ending: Option<Ending>,
    /// No command is started any more.
    closed: bool,
    /// All that ran has ended.
    quiet: bool,
    scratch: Vec<u8>,
    now: Instant,
}

impl Guest {
    fn new(ready: Ready) -> rustix::io::Result<Self> {
        // It is only a name.
        let _ = rustix::thread::set_name(c"stockade-guest");
        sys::reset_signals();
        sys::ignore_signal(libc::SIGPIPE);
        let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        sys::set_blocked_signals(&[libc::SIGCHLD]).map_err(failed)?;
        let signals = sys::signal_fd(&[libc::SIGCHLD]).map_err(failed)?;
        if std::process::id() != 1 {
            // Without a PID namespace of its own it still reaps what its commands leave.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        let walls = Walls::new(&ready.config);
        let moved = Places::new(ready.moved);
        let asks_at = ready.asks.map(|place| moved.place(&place));
        let mut guest = Self {
            door: ready.door,
            link: None,
            signals,
            walls,
            contained: ready.config.contained,
            moved,
            execs: Execs::new(ready.config.max_execs, ready.terminals),
            files: Files::new(walls),
            asks: None,
            asks_at,
            hello: Hello::new(0, nonce()),
            childless: false,
            ending: None,
            closed: false,
            quiet: false,
            scratch: vec![0; SCRATCH],
            now: Instant::now(),
        };
        guest.take_link(ready.link);
        guest.tell();
        Ok(guest)
    }

    /// Waits for events and handles them all. True if it was the last turn.
    fn turn(&mut self) -> bool {
        let events = self.wait();
        self.now = Instant::now();
        // Lent to what reads; nothing here keeps it.
        let mut scratch = std::mem::take(&mut self.scratch);
        for event in events {
            self.handle(event, &mut scratch);
        }
        self.execs.expire(&mut scratch, self.now);
        self.files.expire(self.now);
        if self.ending.is_some() {
            // There may be no process left whose end would wake us.
            self.reap(&mut scratch);
        }
        self.scratch = scratch;
        self.tell();
        self.advance_ending()
    }

    fn handle(&mut self, event: Event, scratch: &mut [u8]) {
        match event {
            Event::Door => self.answer_door(),
            Event::Signals => {
                // What exactly came does not matter: the wait calls tell.
                let _ = rustix::io::read(&self.signals, &mut *scratch);
                self.reap(scratch);
            }
            Event::Reports(id) => {
                if let Some(exec) = self.execs.get_mut(id) {
                    exec.read_reports(scratch, self.now);
                }
            }
            Event::Output(id, stream) => {
                if let Some(exec) = self.execs.get_mut(id) {
                    exec.read_output(stream, scratch, self.now);
                }
            }
            Event::Input { exec, reader_gone } => {
                if let Some(exec) = self.execs.get_mut(exec) {
                    exec.write_input(reader_gone);
                }
            }
            Event::Files => self.files.handle(scratch, self.now),
            Event::Asks => {
                let connected = self.link.as_ref().is_some_and(|link| link.greeted);
                if let Some(asks) = &mut self.asks {
                    asks.read(scratch, connected);
                }
            }
            Event::Link => self.read_link(scratch),
        }
    }

    fn answer_door(&mut self) {
        match door::receive(self.door.as_fd()) {
            Visit::Nobody => {}
            Visit::Link(link) => self.take_link(link),
            Visit::Closed => {
                self.kill_all();
                sys::exit_now(0)
            }
        }
    }

    /// A new link replaces the old one.
    fn take_link(&mut self, link: OwnedFd) {
        self.drop_link();
        let Ok(mut channel) = Channel::new(link) else {
            return;
        };
        channel.queue(&ToHost::Hello(self.hello));
        for resume in self.execs.resumptions() {
            channel.queue(&ToHost::Resume(resume));
        }
        // Greeted at once, so that a host of another version can tell.
        if channel.flush().is_ok() {
            self.link = Some(Link {
                channel,
                greeted: false,
            });
        }
    }

    /// Everything goes on without a link, as far as the buffers reach.
    fn drop_link(&mut self) {
        if self.link.take().is_some() {
            self.execs.hold();
            self.files.forget_all();
            if let Some(asks) = &mut self.asks {
                asks.forget_all();
            }
        }
    }

    fn read_link(&mut self, scratch: &mut [u8]) {
        let Some(link) = &mut self.link else { return };
        let Ok(messages) = link.channel.receive(scratch) else {
            return self.drop_link();
        };
        for message in messages {
            // An answer to a host that breaks the protocol could only make it worse.
            if self.obey(message).is_err() {
                return self.drop_link();
            }
        }
    }

    fn obey(&mut self, message: ToGuest) -> Result<(), WireError> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let is_hello = matches!(message, ToGuest::Hello(_));
        if is_hello == link.greeted {
            return Err(WireError::Greeting);
        }
        match message {
            ToGuest::Hello(hello) => {
                hello.check()?;
                link.greeted = true;
                // Not before: the host looks at what is open here before it greets, and no command
                // runs before it has. Who asks in vain is told so by the missing pipe.
                if let Some(place) = self.asks_at.take() {
                    self.asks = Asks::listen(&place).ok();
                }
                self.adopt_generation(&hello);
            }
            ToGuest::Data(data) => {
                if let Some(exec) = self.execs.get_mut(data.exec) {
                    exec.input(data.stream)?.data(&data)?;
                }
            }
            ToGuest::Eof(eof) => {
                if let Some(exec) = self.execs.get_mut(eof.exec) {
                    exec.input(eof.stream)?.eof(eof.offset)?;
                }
            }
            ToGuest::Ack(ack) => {
                if let Some(output) = self.execs.output(ack.exec, ack.stream)? {
                    output.buffer.ack(ack.offset)?;
                }
            }
            ToGuest::Resume(resume) => self.resume(&resume)?,
            ToGuest::Exec(request) => {
                if !self.closed {
                    let request = self.moved.command(request)?;
                    self.execs.start(&request, &self.walls, &mut link.channel);
                }
            }
            ToGuest::Resize { exec, size } => {
                if let Some(exec) = self.execs.get_mut(exec) {
                    exec.resize(size);
                }
            }
            ToGuest::Signal {
                exec,
                number,
                whole_group,
            } => {
                if let Some(exec) = self.execs.get_mut(exec) {
                    exec.signal(number, whole_group);
                }
            }
            ToGuest::Forget { exec } => self.execs.forget(exec),
            ToGuest::File(request) => self.files.request(self.moved.file(request)?, self.now),
            ToGuest::Answer { ask, answer } => {
                if let Some(asks) = &mut self.asks {
                    asks.answer(ask, &answer);
                }
            }
            ToGuest::Shutdown { grace_ms } => self.begin_ending(grace_ms, false),
            ToGuest::Quiet { grace_ms } => self.begin_ending(grace_ms, true),
        }
        Ok(())
    }

    /// A copy of a sandbox must not be taken for the one that it was copied from.
    fn adopt_generation(&mut self, hello: &Hello) {
        if hello.generation > self.hello.generation {
            self.hello = Hello::new(hello.generation, nonce());
        }
    }

    fn resume(&mut self, resume: &Resume) -> Result<(), WireError> {
        if let Some(output) = self.execs.output(resume.exec, resume.stream)? {
            output.buffer.resume(resume.next_offset, resume.consumed_offset)?;
        }
        Ok(())
    }

    /// Takes the ends of all children that have ended, orphans of commands included.
    fn reap(&mut self, scratch: &mut [u8]) {
        self.childless = false;
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED) {
                Ok(Some((pid, status))) => self.execs.child_changed(pid, status, scratch, self.now),
                Ok(None) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.childless = true;
                    return;
                }
            }
        }
    }

    /// Says all that the host does not know yet, in as few writes as possible.
    fn tell(&mut self) {
        let Some(link) = &mut self.link else { return };
        for reply in self.files.replies() {
            link.channel.queue(&ToHost::File(reply));
        }
        for ask in self.asks.iter_mut().flat_map(Asks::take_waiting) {
            link.channel.queue(&ToHost::Ask(ask));
        }
        loop {
            self.execs.tell(&mut link.channel);
            let before = link.channel.queued();
            if link.channel.flush().is_err() {
                return self.drop_link();
            }
            // All was written: there may be output that had no room before.
            if before == 0 || link.channel.queued() > 0 {
                return;
            }
        }
    }
}

/// A random name of this process.
fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    // Without randomness the name is not unique; the first link works all the same.
    let _ = rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::NONBLOCK);
    nonce
}
