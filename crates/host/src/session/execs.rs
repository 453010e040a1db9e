//! One command, as far as the host knows.

use std::task::Waker;

use stockade_wire::{
    Ack, ExecFailure, ExecId, ExecRequest, ExitStatus, RecvWindow, Resume, SendBuffer, Stream, WireError,
};

/// How far a command has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// Asked for; kept, as it is asked for again on a new link.
    Asked(Box<ExecRequest>),
    /// It runs.
    Started,
    /// It could not be started.
    Failed(ExecFailure),
    /// It ended, and all of its output has come.
    Exited(ExitStatus),
}

/// An output stream.
#[derive(Debug)]
pub(super) struct Incoming {
    pub stream: Stream,
    window: RecvWindow,
    /// Came and was not taken yet; at most a window.
    bytes: Vec<u8>,
}

/// One command.
#[derive(Debug)]
pub(super) struct ExecState {
    pub progress: Progress,
    /// None: it has no standard input.
    pub input: Option<SendBuffer>,
    /// The link is new and the guest has not said where input goes on.
    pub input_held: bool,
    /// The command reads no more input.
    pub input_closed: bool,
    pub outputs: Vec<Incoming>,
    /// The signal that stopped it.
    pub stopped: Option<u8>,
    /// What the user was told last.
    pub told_started: Option<u32>,
    pub told_stopped: bool,
    pub pid: Option<u32>,
    pub events_waker: Option<Waker>,
    pub room_waker: Option<Waker>,
}

impl Incoming {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            window: RecvWindow::new(),
            bytes: Vec::new(),
        }
    }

    /// Bytes have come.
    pub fn data(&mut self, offset: u64, bytes: Vec<u8>) -> Result<(), WireError> {
        self.window.data(offset, bytes.len())?;
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// The end has come.
    pub fn eof(&mut self, offset: u64) -> Result<(), WireError> {
        self.window.eof(offset)
    }

    /// Hands over what has come, which gives the sender room for as much again.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.window.consume(bytes.len());
        Some(bytes)
    }
}

impl ExecState {
    pub fn new(request: ExecRequest) -> Self {
        let has_input = request.stdin || request.tty.is_some();
        let mut outputs = vec![Incoming::new(Stream::Stdout)];
        if request.tty.is_none() {
            outputs.push(Incoming::new(Stream::Stderr));
        }
        Self {
            progress: Progress::Asked(Box::new(request)),
            input: has_input.then(SendBuffer::new),
            input_held: false,
            input_closed: false,
            outputs,
            stopped: None,
            told_started: None,
            told_stopped: false,
            pid: None,
            events_waker: None,
            room_waker: None,
        }
    }

    pub fn output(&mut self, exec: ExecId, stream: Stream) -> Result<&mut Incoming, WireError> {
        let found = self.outputs.iter_mut().find(|output| output.stream == stream);
        found.ok_or(WireError::Direction { exec, stream })
    }

    /// The stream of input that a message names.
    pub fn input(&mut self, exec: ExecId, stream: Stream) -> Result<&mut SendBuffer, WireError> {
        match &mut self.input {
            Some(input) if stream == Stream::Stdin => Ok(input),
            _ => Err(WireError::Direction { exec, stream }),
        }
    }

    /// The link dropped: input waits until the guest says where it goes on.
    pub fn hold_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.hold();
            self.input_held = true;
        }
    }

    /// The guest has received and consumed this much.
    pub fn resume_input(
        &mut self,
        exec: ExecId,
        stream: Stream,
        position: (u64, u64),
    ) -> Result<(), WireError> {
        self.input(exec, stream)?.resume(position.0, position.1)?;
        self.input_held = false;
        Ok(())
    }

    /// True once nothing more can come from the guest.
    pub fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Failed(_) | Progress::Exited(_))
    }

    /// What to confirm.
    pub fn acks(&mut self, exec: ExecId) -> impl Iterator<Item = Ack> {
        self.outputs.iter_mut().filter_map(move |output| {
            let offset = output.window.ack_due()?;
            Some(Ack {
                exec,
                stream: output.stream,
                offset,
            })
        })
    }

    /// Where the outputs go on, on a new link.
    pub fn resumptions(&mut self, exec: ExecId) -> Vec<Resume> {
        let resume = |output: &mut Incoming| {
            let (next_offset, consumed_offset) = output.window.position();
            Resume {
                exec,
                stream: output.stream,
                next_offset,
                consumed_offset,
            }
        };
        self.outputs.iter_mut().map(resume).collect()
    }

    pub fn wake_events(&mut self) {
        if let Some(waker) = self.events_waker.take() {
            waker.wake();
        }
    }

    pub fn wake_room(&mut self) {
        if let Some(waker) = self.room_waker.take() {
            waker.wake();
        }
    }
}
