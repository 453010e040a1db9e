//! All commands that the host has not told the guest to forget.

use std::collections::BTreeMap;
use std::time::Instant;

use rustix::process::{Pid, WaitStatus};
use stockade_linux::apply::Terminal;
use stockade_wire::{
    ExecFailure, ExecId, ExecRequest, FailureKind, Resume, Stream, ToGuest, ToHost, WireError,
};

use super::output::Output;
use super::spawn::Pool;
use super::{Exec, reports};
use crate::channel::Channel;
use crate::confine::Walls;

/// Output waits in its pipes while this much waits to be written to the link.
const QUEUE_BOUND: usize = 128 << 10;

/// The commands, by their numbers.
pub struct Execs {
    all: BTreeMap<ExecId, Exec>,
    max: usize,
    terminals: Pool,
    /// Whose turn it is to send output: one that floods must not silence the others.
    turn: ExecId,
}

impl Execs {
    /// At most `max` commands.
    pub fn new(max: u32, terminals: Vec<Terminal>) -> Self {
        Self {
            all: BTreeMap::new(),
            max: usize::try_from(max).unwrap_or(usize::MAX),
            terminals: Pool::new(terminals),
            turn: ExecId(0),
        }
    }

    /// Starts a command. Its failure goes to the link and leaves nothing here: asked again,
    /// it is tried again.
    pub fn start(&mut self, request: &ExecRequest, walls: &Walls, link: &mut Channel<ToGuest>) {
        if let Some(known) = self.all.get_mut(&request.id) {
            known.repeat();
            return;
        }
        let started = if self.all.len() < self.max {
            Exec::start(request, walls, &mut self.terminals)
        } else {
            Err(self.too_many(request.id))
        };
        match started {
            Ok(exec) => {
                self.all.insert(request.id, exec);
            }
            Err(failure) => link.queue(&ToHost::ExecFailed(failure)),
        }
    }

    fn too_many(&self, id: ExecId) -> ExecFailure {
        let text = format!(
            "refused to start a command: {} are running already, and no more are allowed",
            self.max
        );
        reports::failure(id, FailureKind::Refused, None, text)
    }

    /// A command by its number.
    pub fn get_mut(&mut self, id: ExecId) -> Option<&mut Exec> {
        self.all.get_mut(&id)
    }

    /// An output stream that a message names, if there still is such a command.
    pub fn output(&mut self, id: ExecId, stream: Stream) -> Result<Option<&mut Output>, WireError> {
        match self.all.get_mut(&id) {
            Some(exec) => exec.output(stream),
            None => Ok(None),
        }
    }

    /// True if the host was sent all there is to say about commands that have ended.
    pub fn all_told(&self) -> bool {
        self.all.values().all(|exec| exec.is_told())
    }

    /// All commands.
    pub fn iter(&self) -> impl Iterator<Item = (&ExecId, &Exec)> {
        self.all.iter()
    }

    /// All commands.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Exec> {
        self.all.values_mut()
    }

    /// Frees a number; kills what still runs.
    pub fn forget(&mut self, id: ExecId) {
        if let Some(mut exec) = self.all.remove(&id) {
            exec.kill();
        }
    }

    /// A child of the guest has changed; orphans of commands are nobody's.
    pub fn child_changed(&mut self, child: Pid, status: WaitStatus, scratch: &mut [u8], now: Instant) {
        if let Some(exec) = self.all.values_mut().find(|exec| exec.is_child(child)) {
            exec.child_changed(status, scratch, now);
        }
    }

    /// The link is gone.
    pub fn hold(&mut self) {
        for exec in self.all.values_mut() {
            exec.hold();
        }
    }

    /// Where the host's streams go on on a new link.
    pub fn resumptions(&mut self) -> Vec<Resume> {
        self.all.values_mut().filter_map(Exec::resumption).collect()
    }

    /// Queues all that the host does not know yet, as far as the link's queue allows.
    pub fn tell(&mut self, link: &mut Channel<ToGuest>) {
        // A host that does not read now is told the state as it will be when it does: a
        // command that stops and goes on for ever must not fill the guest's memory.
        if link.queued() >= QUEUE_BOUND {
            return;
        }
        for exec in self.all.values_mut() {
            exec.tell_state(link);
        }
        while self.tell_one_output(link) {}
        for exec in self.all.values_mut() {
            exec.tell_end(link);
        }
    }

    /// One part of each output of the command whose turn it is, or of the next that has any.
    fn tell_one_output(&mut self, link: &mut Channel<ToGuest>) -> bool {
        if link.queued() >= QUEUE_BOUND {
            return false;
        }
        let turn = self.turn;
        let (before, after): (Vec<_>, Vec<_>) = self.all.iter_mut().partition(|(id, _)| **id < turn);
        for (id, exec) in after.into_iter().chain(before) {
            if exec.tell_output(link) {
                self.turn = ExecId(id.0.wrapping_add(1));
                return true;
            }
        }
        false
    }

    /// When [`Self::expire`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.all.values().filter_map(Exec::deadline).min()
    }

    /// Ends what has taken too long.
    pub fn expire(&mut self, scratch: &mut [u8], now: Instant) {
        for exec in self.all.values_mut() {
            exec.expire(scratch, now);
        }
    }
}
