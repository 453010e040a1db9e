//! What is true of a session: a state machine without I/O. Messages of the guest go in and
//! are checked; what is to be said comes out.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use stockade_wire::{
    Decoder, ExecId, ExecRequest, FileResult, Hello, Outgoing, RequestId, Stream, ToGuest, ToHost, WireError,
    encode, encode_data,
};

use super::asks::Asks;
use super::execs::{ExecState, Progress};
use crate::error::{Error, Result};

/// What is made ready for the link at a time.
const BATCH: usize = 128 << 10;
/// Small messages that wait for a slow or missing link; a user who makes more is told.
const MAX_WAITING: usize = 1024;
/// Numbers of forgotten commands that are repeated on a new link.
const MAX_FORGOTTEN: usize = 64;

/// Why a session ended.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The guest broke the protocol.
    Protocol(String),
    /// There will be no other link.
    LinkLost(String),
}

impl Failure {
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Protocol(why) => Error::protocol(why.clone()),
            Self::LinkLost(why) => Error::LinkLost { why: why.clone() },
        }
    }
}

/// The present link.
#[derive(Debug)]
pub(super) enum LinkState {
    /// It stands; the decoder belongs to it.
    Up {
        greeted: bool,
        decoder: Box<Decoder<ToHost>>,
    },
    /// It dropped.
    Down { why: String },
}

/// A file request that waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub answer: Option<FileResult>,
    pub lost: bool,
    pub waker: Option<Waker>,
}

/// Whether commands inside have ended, as was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quiet {
    /// It was not asked for.
    #[default]
    Unasked,
    /// It was.
    Asked,
    /// They have: all of them, or as many as could be seen.
    Reached { all: bool },
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) hello: Hello,
    /// The guest's name, once it cannot change any more.
    pub(super) guest: Option<[u8; 16]>,
    pub(super) link: LinkState,
    /// Counts links, so that an old pump knows that it is one.
    serial: u64,
    failure: Option<Failure>,
    pub(super) execs: BTreeMap<ExecId, ExecState>,
    pub(super) next_exec: u32,
    /// Whose input goes next: one that floods must not silence the others.
    turn: ExecId,
    forgotten: VecDeque<ExecId>,
    pub(crate) files: BTreeMap<RequestId, Pending>,
    pub(super) next_file: u32,
    pub(super) asks: Asks,
    pub(super) quiet: Quiet,
    waiting: VecDeque<ToGuest>,
    pump_waker: Option<Waker>,
    link_wakers: Vec<Waker>,
}

impl Core {
    pub(crate) fn new(generation: u64, nonce: [u8; 16]) -> Self {
        Self {
            hello: Hello::new(generation, nonce),
            guest: None,
            link: LinkState::Down {
                why: "there was no link yet".to_owned(),
            },
            serial: 0,
            failure: None,
            execs: BTreeMap::new(),
            next_exec: 0,
            turn: ExecId(0),
            forgotten: VecDeque::new(),
            files: BTreeMap::new(),
            next_file: 0,
            asks: Asks::default(),
            quiet: Quiet::default(),
            waiting: VecDeque::new(),
            pump_waker: None,
            link_wakers: Vec::new(),
        }
    }

    // ---- links ----

    /// A new link: says what the guest needs to go on. Returns the link's number.
    pub(crate) fn link_up(&mut self) -> u64 {
        if matches!(self.link, LinkState::Up { .. }) {
            self.link_down(self.serial, "another link took its place");
        }
        self.serial += 1;
        self.link = LinkState::Up {
            greeted: false,
            decoder: Box::default(),
        };
        let later = std::mem::take(&mut self.waiting);
        self.waiting.push_back(ToGuest::Hello(self.hello));
        if self.serial > 1 {
            self.waiting
                .extend(self.forgotten.iter().map(|exec| ToGuest::Forget { exec: *exec }));
            let asked = self.execs.values().filter_map(|exec| match &exec.progress {
                Progress::Asked(request) => Some(ToGuest::Exec((**request).clone())),
                _ => None,
            });
            self.waiting.extend(asked);
            for (id, exec) in &mut self.execs {
                if !exec.is_over() {
                    self.waiting
                        .extend(exec.resumptions(*id).into_iter().map(ToGuest::Resume));
                }
            }
        }
        // The rest of what was not said on the old link has just been said anew.
        self.waiting.extend(later.into_iter().filter(outlives_a_link));
        self.wake_pump();
        self.serial
    }

    /// A link dropped.
    pub(crate) fn link_down(&mut self, serial: u64, why: &str) {
        if serial != self.serial || !matches!(self.link, LinkState::Up { .. }) {
            return;
        }
        self.link = LinkState::Down { why: why.to_owned() };
        self.asks.forget_all();
        for exec in self.execs.values_mut() {
            exec.hold_input();
        }
        for pending in self.files.values_mut() {
            pending.lost = true;
            if let Some(waker) = pending.waker.take() {
                waker.wake();
            }
        }
        self.wake_link();
        self.wake_pump();
    }

    /// True while this is the link that counts.
    pub(crate) fn is_current(&self, serial: u64) -> bool {
        serial == self.serial && matches!(self.link, LinkState::Up { .. }) && self.failure.is_none()
    }

    pub(crate) fn is_greeted(&self) -> bool {
        matches!(self.link, LinkState::Up { greeted: true, .. })
    }

    pub(crate) fn link_down_why(&self) -> Option<String> {
        match &self.link {
            LinkState::Up { .. } => None,
            LinkState::Down { why } => Some(why.clone()),
        }
    }

    pub(crate) fn watch_link(&mut self, waker: &Waker) {
        if !self.link_wakers.iter().any(|known| known.will_wake(waker)) {
            self.link_wakers.push(waker.clone());
        }
    }

    pub(crate) fn watch_pump(&mut self, waker: &Waker) {
        match &self.pump_waker {
            Some(known) if known.will_wake(waker) => {}
            _ => self.pump_waker = Some(waker.clone()),
        }
    }

    pub(crate) fn wake_pump(&mut self) {
        if let Some(waker) = self.pump_waker.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_link(&mut self) {
        self.link_wakers.drain(..).for_each(Waker::wake);
    }

    // ---- the end ----

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.failure
            .as_ref()
            .map_or(Ok(()), |failure| Err(failure.error()))
    }

    /// Ends the session. The first reason stays.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if self.failure.is_some() {
            return;
        }
        self.failure = Some(failure);
        for exec in self.execs.values_mut() {
            exec.wake_events();
            exec.wake_room();
        }
        for pending in self.files.values_mut() {
            if let Some(waker) = pending.waker.take() {
                waker.wake();
            }
        }
        self.wake_link();
        self.wake_pump();
    }

    // ---- what the host wants ----

    /// A number for a command, never used before.
    pub(crate) fn new_exec_id(&mut self) -> Result<ExecId> {
        let id = ExecId(self.next_exec);
        self.next_exec = self.next_exec.checked_add(1).ok_or_else(|| Error::Busy {
            what: "start a command".to_owned(),
            why: "all numbers are used".to_owned(),
        })?;
        Ok(id)
    }

    pub(crate) fn start(&mut self, request: ExecRequest) {
        let id = request.id;
        self.waiting.push_back(ToGuest::Exec(request.clone()));
        self.execs.insert(id, ExecState::new(request));
        self.wake_pump();
    }

    pub(super) fn exec(&mut self, id: ExecId) -> Option<&mut ExecState> {
        self.execs.get_mut(&id)
    }

    /// Queues a message. False: too many wait already.
    pub(crate) fn say(&mut self, message: ToGuest) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(message);
        self.wake_pump();
        true
    }

    /// Queues a message that exists as often as something else that is bounded.
    pub(super) fn push(&mut self, message: ToGuest) {
        self.waiting.push_back(message);
        self.wake_pump();
    }

    /// Nobody asks about a command any more.
    pub(crate) fn forget(&mut self, id: ExecId) {
        if self.execs.remove(&id).is_none() {
            return;
        }
        if self.forgotten.len() == MAX_FORGOTTEN {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(id);
        // Beyond the bound of waiting messages too: each exists once.
        self.push(ToGuest::Forget { exec: id });
    }

    /// Commands inside are to end.
    pub(super) fn ask_for_quiet(&mut self, message: ToGuest) {
        if !matches!(self.quiet, Quiet::Reached { .. }) {
            self.quiet = Quiet::Asked;
            self.push(message);
        }
    }

    /// Whether all of them have ended; none while they have not.
    pub(super) fn quiet(&self) -> Option<bool> {
        match self.quiet {
            Quiet::Reached { all } => Some(all),
            Quiet::Unasked | Quiet::Asked => None,
        }
    }

    pub(crate) fn new_file(&mut self) -> RequestId {
        let id = RequestId(self.next_file);
        self.next_file = self.next_file.wrapping_add(1);
        self.files.insert(id, Pending::default());
        id
    }

    /// Appends what is to be said now to `out`, about a batch at most.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), WireError> {
        while out.len() < BATCH {
            let Some(message) = self.waiting.pop_front() else {
                break;
            };
            encode(&message, out)?;
        }
        for (id, exec) in &mut self.execs {
            for ack in exec.acks(*id) {
                encode(&ToGuest::Ack(ack), out)?;
            }
        }
        while out.len() < BATCH && self.fill_input(out)? {}
        Ok(())
    }

    /// One part of the input of the command whose turn it is, or of the next that has any.
    fn fill_input(&mut self, out: &mut Vec<u8>) -> Result<bool, WireError> {
        let turn = self.turn;
        let (before, after): (Vec<_>, Vec<_>) = self.execs.iter_mut().partition(|(id, _)| **id < turn);
        for (id, exec) in after.into_iter().chain(before) {
            // What was asked for and has not started takes input all the same; what is over does not.
            let Some(input) = exec
                .input
                .as_mut()
                .filter(|_| !matches!(exec.progress, Progress::Failed(_) | Progress::Exited(_)))
            else {
                continue;
            };
            match input.next_outgoing() {
                None => continue,
                Some(Outgoing::Data(offset, bytes)) => encode_data(*id, Stream::Stdin, offset, bytes, out)?,
                Some(Outgoing::Eof(offset)) => {
                    encode(
                        &ToGuest::Eof(stockade_wire::Eof {
                            exec: *id,
                            stream: Stream::Stdin,
                            offset,
                        }),
                        out,
                    )?;
                }
            }
            self.turn = ExecId(id.0.wrapping_add(1));
            return Ok(true);
        }
        Ok(false)
    }
}

/// Commands, forgotten numbers and positions are said anew on each link.
fn outlives_a_link(message: &ToGuest) -> bool {
    matches!(
        message,
        ToGuest::Signal { .. } | ToGuest::Resize { .. } | ToGuest::Shutdown { .. }
    )
}
