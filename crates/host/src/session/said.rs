//! What the guest says, checked. Nothing it says is believed about another command than
//! the one it names, and nothing beyond what was asked for.

use stockade_wire::{ExecId, FileResult, Hello, RequestId, Stream, ToHost, WireError, limits};

use super::core::{Core, Failure, LinkState, Quiet};
use super::execs::{ExecState, Progress};

impl Core {
    /// Takes bytes of a link.
    pub(crate) fn receive(&mut self, serial: u64, mut bytes: &[u8]) {
        if !self.is_current(serial) {
            return;
        }
        loop {
            let LinkState::Up { decoder, .. } = &mut self.link else {
                return;
            };
            let handled = match decoder.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(message)) => self.handle(message),
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = handled {
                return self.fail(Failure::Protocol(why));
            }
        }
    }

    fn handle(&mut self, message: ToHost) -> Result<(), String> {
        let LinkState::Up { greeted, .. } = &mut self.link else {
            return Ok(());
        };
        let is_hello = matches!(message, ToHost::Hello(_));
        if is_hello == *greeted {
            return Err(WireError::Greeting.to_string());
        }
        match message {
            ToHost::Hello(hello) => {
                *greeted = true;
                self.greet(&hello)
            }
            ToHost::File(reply) => self.file_reply(reply.id, reply.result),
            ToHost::Ask(ask) => self.asked(ask),
            ToHost::Quiet { all } => self.quieted(all),
            other => self.exec_message(other),
        }
    }

    fn greet(&mut self, hello: &Hello) -> Result<(), String> {
        hello.check().map_err(|error| error.to_string())?;
        if hello.generation > self.hello.generation {
            return Err(format!(
                "it claims generation {} of {}",
                hello.generation, self.hello.generation
            ));
        }
        match self.guest {
            Some(known) if known != hello.nonce => {
                return Err("another process answered in its place".to_owned());
            }
            // One that hears of a higher generation takes another name afterwards.
            None if hello.generation == self.hello.generation => self.guest = Some(hello.nonce),
            _ => {}
        }
        self.wake_link();
        Ok(())
    }

    fn file_reply(&mut self, id: RequestId, result: FileResult) -> Result<(), String> {
        match self.files.get_mut(&id) {
            Some(pending) if pending.answer.is_none() => {
                pending.answer = Some(result);
                if let Some(waker) = pending.waker.take() {
                    waker.wake();
                }
                Ok(())
            }
            Some(_) => Err("it answered a file request twice".to_owned()),
            // Nobody waits for it any more.
            None if id.0 < self.next_file => Ok(()),
            None => Err(format!("it answered file request {}, which was never made", id.0)),
        }
    }

    fn quieted(&mut self, all: bool) -> Result<(), String> {
        if self.quiet != Quiet::Asked {
            return Err("it said that all is quiet, which was not asked for".to_owned());
        }
        self.quiet = Quiet::Reached { all };
        self.wake_link();
        Ok(())
    }

    fn exec_message(&mut self, message: ToHost) -> Result<(), String> {
        let Some(id) = exec_of(&message) else {
            return Ok(());
        };
        if id.0 >= self.next_exec {
            return Err(format!("it spoke of command {}, which was never asked for", id.0));
        }
        // What was said before it heard that the command is forgotten.
        let Some(exec) = self.execs.get_mut(&id) else {
            return Ok(());
        };
        let wakes_pump = exec_says(exec, id, message)?;
        if wakes_pump {
            self.wake_pump();
        }
        Ok(())
    }
}

/// The command that a message is about.
fn exec_of(message: &ToHost) -> Option<ExecId> {
    match message {
        ToHost::Hello(_) | ToHost::File(_) | ToHost::Ask(_) | ToHost::Quiet { .. } => None,
        ToHost::Data(data) => Some(data.exec),
        ToHost::Eof(eof) => Some(eof.exec),
        ToHost::Ack(ack) => Some(ack.exec),
        ToHost::Resume(resume) => Some(resume.exec),
        ToHost::ExecFailed(failure) => Some(failure.exec),
        ToHost::Started { exec, .. }
        | ToHost::InputClosed { exec }
        | ToHost::Stopped { exec, .. }
        | ToHost::Continued { exec }
        | ToHost::Exited { exec, .. } => Some(*exec),
    }
}

/// Takes what the guest says of a command. True if there may be more to say to it.
fn exec_says(exec: &mut ExecState, id: ExecId, message: ToHost) -> Result<bool, String> {
    let text = |error: WireError| error.to_string();
    match message {
        ToHost::Data(data) => {
            if exec.is_over() {
                return Err(format!("it sent output of command {} after its end", id.0));
            }
            exec.output(id, data.stream)
                .and_then(|output| output.data(data.offset, data.bytes))
                .map_err(text)?;
        }
        ToHost::Eof(eof) => {
            exec.output(id, eof.stream)
                .and_then(|output| output.eof(eof.offset))
                .map_err(text)?;
        }
        ToHost::Ack(ack) => {
            exec.input(id, ack.stream)
                .and_then(|input| input.ack(ack.offset))
                .map_err(text)?;
            exec.wake_room();
            return Ok(true);
        }
        ToHost::Resume(resume) => {
            let position = (resume.next_offset, resume.consumed_offset);
            exec.resume_input(id, resume.stream, position).map_err(text)?;
            exec.wake_room();
            return Ok(true);
        }
        ToHost::Started { pid, .. } => return started(exec, id, pid),
        ToHost::ExecFailed(mut failure) => {
            if !matches!(exec.progress, Progress::Asked(_) | Progress::Failed(_)) {
                return Err(format!(
                    "it said that command {} failed to start, after its start",
                    id.0
                ));
            }
            failure.text.truncate(limits::MAX_TEXT);
            exec.progress = Progress::Failed(failure);
        }
        ToHost::InputClosed { .. } => {
            exec.input_closed = true;
            exec.wake_room();
        }
        ToHost::Stopped { signal, .. } => exec.stopped = Some(signal),
        ToHost::Continued { .. } => exec.stopped = None,
        ToHost::Exited { status, .. } => match &exec.progress {
            Progress::Exited(before) if *before != status => {
                return Err(format!("it gave command {} two different ends", id.0));
            }
            Progress::Failed(_) => return Err(format!("it ended command {}, which never started", id.0)),
            _ => {
                exec.progress = Progress::Exited(status);
                exec.input_closed = true;
                exec.stopped = None;
                exec.wake_room();
            }
        },
        ToHost::Hello(_) | ToHost::File(_) | ToHost::Ask(_) | ToHost::Quiet { .. } => {}
    }
    exec.wake_events();
    Ok(false)
}

fn started(exec: &mut ExecState, id: ExecId, pid: u32) -> Result<bool, String> {
    match exec.progress {
        Progress::Asked(_) => exec.progress = Progress::Started,
        Progress::Started | Progress::Exited(_) => {}
        Progress::Failed(_) => return Err("a command that failed to start has started".to_owned()),
    }
    exec.pid = Some(pid);
    // A guest that first heard of the command on this link has told no position.
    if exec.input_held {
        exec.resume_input(id, Stream::Stdin, (0, 0))
            .map_err(|error| error.to_string())?;
    }
    exec.wake_events();
    Ok(true)
}
