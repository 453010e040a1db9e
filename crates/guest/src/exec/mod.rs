//! One command: its processes, its streams, and what the host was told about it.

mod child;
mod input;
mod leader;
mod output;
mod reports;
mod spawn;
mod table;

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::process::{Pid, WaitStatus};
use stockade_wire::{
    Ack, ExecFailure, ExecId, ExecRequest, ExitStatus, Resume, Stream, ToGuest, ToHost, WindowSize, WireError,
};

use crate::channel::Channel;
use crate::confine::Walls;
use crate::sys;
use input::Input;
use output::Output;
use reports::Reports;
pub use table::Execs;

/// Signals that came before the command had a process to get them.
const MAX_EARLY_SIGNALS: usize = 8;

/// How far a command has come.
enum State {
    /// The process exists and has not yet become the program.
    Starting,
    Running,
    Failed(ExecFailure),
    Ended(ExitStatus),
}

/// What the host was told on the present link.
#[derive(Default)]
struct Told {
    started: bool,
    stopped: bool,
    input_closed: bool,
    ended: bool,
}

/// A command.
pub struct Exec {
    id: ExecId,
    state: State,
    /// Our child: the command itself, or the leader of its terminal session.
    child: Pid,
    /// Our child's end was seen, so its number may be another process's.
    reaped: bool,
    /// The command, once it is known.
    pid: Option<Pid>,
    /// The signal that stopped it.
    stopped: Option<u8>,
    early_signals: Vec<(u8, bool)>,
    tty: bool,
    reports: Option<Reports>,
    input: Input,
    has_input: bool,
    outputs: Vec<Output>,
    told: Told,
}

impl Exec {
    /// Starts a command.
    pub fn start(
        request: &ExecRequest,
        walls: &Walls,
        terminals: &mut spawn::Pool,
    ) -> Result<Self, ExecFailure> {
        let spawned = spawn::spawn(request, walls, terminals)?;
        let tty = request.tty.is_some();
        let has_input = spawned.input.is_some();
        Ok(Self {
            id: request.id,
            state: State::Starting,
            child: spawned.child,
            reaped: false,
            pid: (!tty).then_some(spawned.child),
            stopped: None,
            early_signals: Vec::new(),
            tty,
            reports: Some(Reports::new(spawned.reports)),
            input: Input::new(spawned.input, tty),
            has_input,
            outputs: spawned
                .outputs
                .into_iter()
                .map(|(fd, stream)| Output::new(fd, stream))
                .collect(),
            told: Told {
                input_closed: !has_input,
                ..Told::default()
            },
        })
    }

    /// True if this is the guest's own child among its processes. Its number is of no
    /// meaning once it was reaped.
    pub fn is_child(&self, pid: Pid) -> bool {
        !self.reaped && self.child == pid
    }

    /// True while its first process lives.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, State::Starting | State::Running)
    }

    /// True if all there is to say was said on the present link, up to its end.
    pub fn is_told(&self) -> bool {
        self.told.ended
    }

    /// Sends a signal to the command or its group.
    pub fn signal(&mut self, number: u8, whole_group: bool) {
        if !self.is_alive() {
            return;
        }
        let Some(pid) = self.pid else {
            if self.early_signals.len() < MAX_EARLY_SIGNALS {
                self.early_signals.push((number, whole_group));
            }
            return;
        };
        let number = i32::from(number);
        // Just after the fork it has no group of its own yet.
        if !whole_group || sys::kill_group(pid, number).is_err() {
            // A command that has just ended has nothing left to signal.
            let _ = sys::kill(pid, number);
        }
    }

    /// Kills the command, its group, and the leader of its session.
    pub fn kill(&mut self) {
        self.signal(signal_number(libc::SIGKILL), true);
        if !self.reaped && self.pid.is_none() {
            // Not even its leader has told of it.
            let _ = sys::kill(self.child, libc::SIGKILL);
        }
    }

    /// The user's terminal has another size.
    pub fn resize(&self, size: WindowSize) {
        if self.tty
            && let Some(terminal) = self.input.terminal()
        {
            spawn::set_window_size(terminal, size);
        }
    }

    /// Reads what the process that starts the command, or its session leader, reports.
    pub fn read_reports(&mut self, scratch: &mut [u8], now: Instant) {
        let Some(reports) = &mut self.reports else { return };
        let (messages, open) = reports.read(scratch);
        for message in messages {
            self.take_report(message, scratch, now);
        }
        if !open {
            self.reports = None;
            if !self.tty {
                // The end without a failure is the exec itself: it closed the pipe.
                self.started(self.child);
            }
        }
    }

    fn take_report(&mut self, report: ToHost, scratch: &mut [u8], now: Instant) {
        match report {
            ToHost::Started { pid, .. } => {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    self.started(pid);
                }
            }
            ToHost::ExecFailed(failure) => self.fail(failure),
            ToHost::Stopped { signal, .. } => self.stopped = Some(signal),
            ToHost::Continued { .. } => self.stopped = None,
            ToHost::Exited { status, .. } => self.end(status, scratch, now),
            _ => {}
        }
    }

    fn started(&mut self, pid: Pid) {
        if matches!(self.state, State::Starting) {
            self.state = State::Running;
            self.pid = Some(pid);
            for (number, whole_group) in std::mem::take(&mut self.early_signals) {
                self.signal(number, whole_group);
            }
        }
    }

    fn fail(&mut self, failure: ExecFailure) {
        if matches!(self.state, State::Starting) {
            self.state = State::Failed(failure);
            self.input.close();
            self.outputs.clear();
        }
    }

    /// Our child has changed its state.
    pub fn child_changed(&mut self, status: WaitStatus, scratch: &mut [u8], now: Instant) {
        let ended = exit_status(status);
        if ended.is_some() {
            // What it wrote before its end comes first; nobody else holds the other end.
            self.read_reports(scratch, now);
        }
        if let Some(ended) = ended {
            self.reaped = true;
            // A session leader that was killed could not report; its session is over.
            if self.tty && self.is_alive() {
                self.signal(signal_number(libc::SIGKILL), true);
            }
            self.end(ended, scratch, now);
        } else if !self.tty {
            self.stopped = status.stopping_signal().map(signal_number);
        }
    }

    fn end(&mut self, status: ExitStatus, scratch: &mut [u8], now: Instant) {
        if !self.is_alive() {
            return;
        }
        self.state = State::Ended(status);
        self.stopped = None;
        self.input.close();
        self.told.input_closed = true;
        for output in &mut self.outputs {
            output.drain(scratch, now);
        }
    }

    /// The link is gone: what was told may be lost, and streams wait for a new one.
    pub fn hold(&mut self) {
        self.told = Told {
            input_closed: !self.has_input || !self.is_alive(),
            ..Told::default()
        };
        for output in &mut self.outputs {
            output.buffer.hold();
        }
    }

    /// Where the host's stream goes on on a new link.
    pub fn resumption(&mut self) -> Option<Resume> {
        if !self.has_input {
            return None;
        }
        let (next_offset, consumed_offset) = self.input.position();
        Some(Resume {
            exec: self.id,
            stream: Stream::Stdin,
            next_offset,
            consumed_offset,
        })
    }

    /// The host asks about a command that it may have heard nothing of.
    pub fn repeat(&mut self) {
        self.told.started = false;
        self.told.stopped = false;
        self.told.ended = false;
    }

    /// Queues what the host has to know before any output. True if something was queued.
    pub fn tell_state(&mut self, link: &mut Channel<ToGuest>) {
        let exec = self.id;
        match &self.state {
            State::Starting => return,
            State::Failed(failure) => {
                if !self.told.ended {
                    link.queue(&ToHost::ExecFailed(failure.clone()));
                }
                self.told.ended = true;
                return;
            }
            State::Running | State::Ended(_) => {}
        }
        if !self.told.started {
            let pid = self
                .pid
                .map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
            link.queue(&ToHost::Started { exec, pid });
            self.told.started = true;
        }
        match self.stopped {
            Some(signal) if !self.told.stopped => link.queue(&ToHost::Stopped { exec, signal }),
            None if self.told.stopped => link.queue(&ToHost::Continued { exec }),
            _ => {}
        }
        self.told.stopped = self.stopped.is_some();
        if !self.told.input_closed && !self.input.is_open() && !self.input.is_ended() {
            link.queue(&ToHost::InputClosed { exec });
            self.told.input_closed = true;
        }
        if let Some(offset) = self.input.ack_due() {
            link.queue(&ToHost::Ack(Ack {
                exec,
                stream: Stream::Stdin,
                offset,
            }));
        }
    }

    /// Queues one part of each output. True if there was any.
    pub fn tell_output(&mut self, link: &mut Channel<ToGuest>) -> bool {
        if matches!(self.state, State::Starting) {
            return false;
        }
        let mut any = false;
        for output in &mut self.outputs {
            any |= output.pump(self.id, link);
        }
        any
    }

    /// Queues the end, once all output was queued.
    pub fn tell_end(&mut self, link: &mut Channel<ToGuest>) {
        if let State::Ended(status) = self.state
            && !self.told.ended
            && self.outputs.iter().all(|output| output.buffer.is_done())
        {
            link.queue(&ToHost::Exited {
                exec: self.id,
                status,
            });
            self.told.ended = true;
        }
    }

    /// The output stream that a message names.
    pub fn output(&mut self, stream: Stream) -> Result<Option<&mut Output>, WireError> {
        if stream == Stream::Stdin {
            return Err(WireError::Direction {
                exec: self.id,
                stream,
            });
        }
        Ok(self.outputs.iter_mut().find(|output| output.stream() == stream))
    }

    /// The input stream, if a message names it.
    pub fn input(&mut self, stream: Stream) -> Result<&mut Input, WireError> {
        if stream == Stream::Stdin {
            Ok(&mut self.input)
        } else {
            Err(WireError::Direction {
                exec: self.id,
                stream,
            })
        }
    }

    /// Reads output that is there.
    pub fn read_output(&mut self, stream: Stream, scratch: &mut [u8], now: Instant) {
        if let Ok(Some(output)) = self.output(stream) {
            output.read(scratch, now);
        }
    }

    /// The command can take input, or will never again.
    pub fn write_input(&mut self, reader_gone: bool) {
        if reader_gone {
            self.input.close();
        } else {
            self.input.write();
        }
    }

    /// What to wait for.
    pub fn reports_fd(&self) -> Option<BorrowedFd<'_>> {
        self.reports.as_ref().map(Reports::fd)
    }

    /// What to wait for, and whether for room.
    pub fn input_fd(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.input.wanted()
    }

    /// What to wait for.
    pub fn output_fds(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        self.outputs
            .iter()
            .filter_map(|output| Some((output.stream(), output.wanted()?)))
    }

    /// When [`Self::expire`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.outputs.iter().filter_map(Output::deadline).min()
    }

    /// Ends output that others hold longer than the command lived.
    pub fn expire(&mut self, scratch: &mut [u8], now: Instant) {
        for output in &mut self.outputs {
            output.expire(scratch, now);
        }
    }
}

/// How a process ended, if it did.
fn exit_status(status: WaitStatus) -> Option<ExitStatus> {
    if let Some(code) = status.exit_status() {
        return Some(ExitStatus::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
    }
    status
        .terminating_signal()
        .map(|signal| ExitStatus::Signal(signal_number(signal)))
}

/// The kernel's signals are 1 to 64.
fn signal_number(signal: i32) -> u8 {
    u8::try_from(signal.clamp(1, 64)).unwrap_or(1)
}
