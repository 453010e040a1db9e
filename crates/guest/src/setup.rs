//! From a fresh process to a confined PID 1: reads the program of steps from the link,
//! applies it, answers, and hands over to the event loop.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use stockade_linux::apply::{ApplyError, Door, Terminal, apply, given_count};
use stockade_linux::ops::{Attestation, GuestSettings, MAX_PROGRAM_BYTES, Moved, Program, SetupReply};

/// Where new links arrive; its end means that the supervisor is gone.
const DOOR: i32 = 3;
/// The first link.
const LINK: i32 = 4;
/// The message that brings the supervisor what it is told of program starts on.
const LISTENER: &[u8] = b"N";
/// Trees that the supervisor may pass in one message (the kernel's SCM_MAX_FD is 253).
pub const MAX_TREES_PER_MESSAGE: usize = 128;

/// What the event loop starts from.
pub struct Ready {
    /// The byte stream to the host.
    pub link: OwnedFd,
    /// New links arrive here.
    pub door: OwnedFd,
    /// Settings for commands.
    pub config: GuestConfig,
    /// Terminals for commands, where no more can be opened.
    pub terminals: Vec<Terminal>,
    /// Places that are somewhere else than the host believes.
    pub moved: Vec<Moved>,
    /// Where commands may ask for something, as the file view has it.
    pub asks: Option<PathBuf>,
}

/// How commands are started.
#[derive(Clone, Copy, Debug)]
pub struct GuestConfig {
    /// The kernel's Landlock scopes signals: every command runs in a nested domain.
    pub nested_landlock: bool,
    /// Commands known at once.
    pub max_execs: u32,
    /// Nothing outside of the sandbox can be signalled, so all that can be is the sandbox's.
    pub contained: bool,
}

impl GuestConfig {
    fn new(settings: &GuestSettings, attestation: &Attestation) -> Self {
        Self {
            nested_landlock: settings.nested_landlock,
            max_execs: settings.max_execs,
            contained: std::process::id() == 1 || attestation.signals_kept,
        }
    }
}

/// Why the guest could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The inherited descriptors or messages are not what they must be.
    #[error("guest: {what}: {source}")]
    Channel {
        /// What was done.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A step failed; the host has been told.
    #[error(transparent)]
    Step(#[from] ApplyError),
}

/// Takes the inherited descriptors and applies the set-up.
///
/// # Errors
/// [`SetupError`]; the process must end then.
pub fn enter() -> Result<Ready, SetupError> {
    let failed = |what| move |source| SetupError::Channel { what, source };
    let door = stockade_linux::sys::inherited(DOOR).map_err(failed("take the door"))?;
    let link = stockade_linux::sys::inherited(LINK).map_err(failed("take the link"))?;
    // Out of the launcher's session: its terminal is not ours.
    rustix::process::setsid().map_err(|error| failed("leave the launcher's session")(error.into()))?;
    // Nor is its directory; steps name paths from the root.
    rustix::process::chdir("/").map_err(|error| failed("leave the launcher's directory")(error.into()))?;
    rustix::thread::set_name(c"stockade-guest").map_err(|error| failed("set its name")(error.into()))?;
    let mut link = File::from(link);
    let program = read_program(&mut link).map_err(failed("read the set-up program"))?;
    let trees = receive_trees(&door, given_count(&program)).map_err(failed("receive the host's trees"))?;
    match apply(&program, trees, &[DOOR, LINK], &mut Way(&door)) {
        Ok(applied) => {
            let config = GuestConfig::new(&program.guest, &applied.attestation);
            reply(&mut link, &SetupReply::Ready(Box::new(applied.attestation))).map_err(failed("answer"))?;
            Ok(Ready {
                link: link.into(),
                door,
                config,
                terminals: applied.terminals,
                moved: program.guest.moved,
                asks: program.guest.asks,
            })
        }
        Err(error) => {
            // The supervisor learns more from this answer than from the exit; if it
            // cannot be sent, the exit still tells that there is no sandbox.
            let _ = reply(
                &mut link,
                &SetupReply::Failed {
                    step: error.step.clone(),
                    call: error.cause(),
                    errno: error.source.raw_os_error().unwrap_or(0),
                },
            );
            Err(error.into())
        }
    }
}

/// The door, while the steps run.
struct Way<'a>(&'a OwnedFd);

impl Door for Way<'_> {
    fn receive(&mut self) -> io::Result<Vec<OwnedFd>> {
        receive(self.0)
    }

    fn pass(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let passed = [descriptor.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&passed)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let message = [IoSlice::new(LISTENER)];
        sendmsg(self.0, &message, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn read_program(link: &mut File) -> io::Result<Program> {
    let mut length = [0u8; 4];
    link.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_PROGRAM_BYTES {
        return Err(io::Error::other("the program is too large"));
    }
    let mut bytes = vec![0u8; length];
    link.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

fn reply(link: &mut File, reply: &SetupReply) -> io::Result<()> {
    let body = postcard::to_allocvec(reply).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    link.write_all(&bytes)
}

fn receive_trees(door: &OwnedFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut trees = Vec::with_capacity(count);
    while trees.len() < count {
        trees.extend(receive(door)?);
    }
    Ok(trees)
}

/// The descriptors of one message on the door.
fn receive(door: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_TREES_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    let received = recvmsg(
        door,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(passed) => Some(passed),
        _ => None,
    });
    Ok(rights.flatten().collect())
}
