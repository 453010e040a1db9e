//! The asking side: `stockade checkpoint` inside a sandbox.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use stockade_wire::{Answer, Asked, Decoder, Request, WireError, encode};

use super::{REQUESTS, answer_name, make_pipe, open_pipe};

/// How long an answer may take: checkpoints of large changes, asked for one after another.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A step failed.
    #[error("{what}: {cause}")]
    Call {
        /// What was done.
        what: &'static str,
        /// The cause.
        cause: Errno,
    },
    /// What is asked for cannot be put into words.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It did not come.
    #[error("no answer came within {} seconds", PATIENCE.as_secs())]
    Late,
}

/// The pipe for the answer, which goes with this.
struct Pipe {
    directory: OwnedFd,
    name: String,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It is gone with the sandbox in any case.
        let _ = rustix::fs::unlinkat(&self.directory, self.name.as_str(), AtFlags::empty());
    }
}

/// Asks in the directory that the sandbox has for it, and waits for the answer.
///
/// # Errors
/// [`AskError`]; a refusal is an answer.
pub fn ask(directory: &Path, what: Asked) -> Result<Answer, AskError> {
    let failed = |what| move |cause| AskError::Call { what, cause };
    let mut token = [0; 8];
    getrandom(&mut token, GetRandomFlags::empty()).map_err(failed("get random bytes"))?;
    let mut frame = Vec::new();
    encode(&Request { token, what }, &mut frame)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())
        .map_err(failed("open the place for requests"))?;
    let requests =
        open_pipe(&directory, REQUESTS, OFlags::WRONLY).map_err(failed("find who takes requests"))?;
    let name = answer_name(token);
    make_pipe(&directory, &name).map_err(failed("make a pipe for the answer"))?;
    let pipe = Pipe { directory, name };
    // Also for writing: else it would be at its end until somebody answers.
    let answers = open_pipe(&pipe.directory, &pipe.name, OFlags::RDWR)
        .map_err(failed("open the pipe for the answer"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::io::write(&requests, &frame) {
            // A request is smaller than what a pipe cuts.
            Ok(_) => break,
            Err(Errno::AGAIN) => wait(&requests, PollFlags::OUT, deadline)?,
            Err(Errno::INTR) => {}
            Err(cause) => return Err(failed("ask")(cause)),
        }
    }
    read_answer(&answers, deadline)
}

fn read_answer(answers: &OwnedFd, deadline: Instant) -> Result<Answer, AskError> {
    let mut decoder = Decoder::<Answer>::default();
    let mut buffer = [0; 4096];
    loop {
        wait(answers, PollFlags::IN, deadline)?;
        match rustix::io::read(answers, &mut buffer) {
            Ok(count) => {
                let mut bytes = buffer.get(..count).unwrap_or_default();
                if let Some(answer) = decoder.next(&mut bytes)? {
                    return Ok(answer);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(cause) => {
                return Err(AskError::Call {
                    what: "read the answer",
                    cause,
                });
            }
        }
    }
}

fn wait(pipe: &OwnedFd, events: PollFlags, deadline: Instant) -> Result<(), AskError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let time = Timespec::try_from(left).ok();
    match poll(
        &mut [PollFd::from_borrowed_fd(pipe.as_fd(), events)],
        time.as_ref(),
    ) {
        Ok(0) => Err(AskError::Late),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(cause) => Err(AskError::Call {
            what: "wait for the answer",
            cause,
        }),
    }
}
