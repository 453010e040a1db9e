//! What the event loop waits for. The list is made anew for each wait: it is short, and
//! there is no second copy of the truth that could go wrong.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stockade_wire::{ExecId, Stream};

use super::{Guest, UNREAD_BOUND};

/// Something that happened. They are handled in this order: what ends things before what
/// starts new ones.
#[derive(Clone, Copy)]
pub enum Event {
    Door,
    Signals,
    Reports(ExecId),
    Output(ExecId, Stream),
    Input { exec: ExecId, reader_gone: bool },
    Files,
    Asks,
    Link,
}

/// The other end is gone.
const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

/// What to wait for, and what it means.
#[derive(Default)]
struct Waits<'a> {
    fds: Vec<PollFd<'a>>,
    events: Vec<Event>,
}

impl<'a> Waits<'a> {
    fn add(&mut self, event: Event, fd: BorrowedFd<'a>, flags: PollFlags) {
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.events.push(event);
    }

    /// Waits, and gives what happened. An interrupted wait gives nothing.
    fn wait(mut self, timeout: Option<Timespec>) -> Vec<Event> {
        if poll(&mut self.fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let happened = self.fds.iter().map(PollFd::revents);
        happened
            .zip(self.events)
            .filter_map(|(flags, event)| meaning(flags, event))
            .collect()
    }
}

fn meaning(flags: PollFlags, event: Event) -> Option<Event> {
    match event {
        _ if flags.is_empty() => None,
        Event::Input { exec, .. } => Some(Event::Input {
            exec,
            reader_gone: flags.intersects(GONE),
        }),
        // Room in the link is used at the end of each turn anyway.
        Event::Link if !flags.intersects(PollFlags::IN | GONE) => None,
        event => Some(event),
    }
}

impl Guest {
    /// Waits until something happens or a deadline is reached.
    pub(super) fn wait(&self) -> Vec<Event> {
        let mut waits = Waits::default();
        waits.add(Event::Door, self.door.as_fd(), PollFlags::IN);
        waits.add(Event::Signals, self.signals.as_fd(), PollFlags::IN);
        for (id, exec) in self.execs.iter() {
            if let Some(fd) = exec.reports_fd() {
                waits.add(Event::Reports(*id), fd, PollFlags::IN);
            }
            for (stream, fd) in exec.output_fds() {
                waits.add(Event::Output(*id, stream), fd, PollFlags::IN);
            }
            if let Some((fd, room)) = exec.input_fd() {
                let flags = if room { PollFlags::OUT } else { PollFlags::empty() };
                waits.add(
                    Event::Input {
                        exec: *id,
                        reader_gone: false,
                    },
                    fd,
                    flags,
                );
            }
        }
        if let Some((fd, flags)) = self.files.wanted() {
            waits.add(Event::Files, fd, flags);
        }
        if let Some(fd) = self.asks.as_ref().and_then(crate::asks::Asks::wanted) {
            waits.add(Event::Asks, fd, PollFlags::IN);
        }
        if let Some(link) = &self.link {
            let reading = link.channel.queued() < UNREAD_BOUND;
            waits.add(Event::Link, link.channel.as_fd(), link.channel.interest(reading));
        }
        waits.wait(self.timeout())
    }

    fn timeout(&self) -> Option<Timespec> {
        let ending = self.ending.as_ref().map(super::Ending::deadline);
        let deadline = [self.execs.deadline(), self.files.deadline(), ending]
            .into_iter()
            .flatten()
            .min()?;
        Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok()
    }
}
