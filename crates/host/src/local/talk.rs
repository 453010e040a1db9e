//! The first words between supervisor and guest: the set-up program, the trees it needs,
//! and the answer. Later words are the wire protocol's.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use stockade_linux::ops::{Attestation, MAX_PROGRAM_BYTES, Program, SetupReply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::error::{Error, Result};

/// Trees in one message; the kernel's own limit (SCM_MAX_FD) is 253.
const TREES_PER_MESSAGE: usize = 128;
/// The guest's answer is small; more than this is not one.
const MAX_REPLY_BYTES: u32 = 1 << 20;
/// A message on the door that carries a new link.
const NEW_LINK: &[u8] = b"L";
/// A message on the door that carries trees.
const TREES: &[u8] = b"S";

/// A pair of connected unix sockets.
pub(crate) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(|error| Error::io("make a pair of sockets for the guest", error))
}

/// Turns our end of a link into an async stream.
pub(crate) fn stream(end: OwnedFd) -> Result<UnixStream> {
    let end = std::os::unix::net::UnixStream::from(end);
    end.set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(end))
        .map_err(|error| Error::io("use the link to the guest", error))
}

/// Passes trees through the door.
pub(crate) fn send_trees(door: &OwnedFd, trees: &[OwnedFd]) -> Result<()> {
    for chunk in trees.chunks(TREES_PER_MESSAGE) {
        let borrowed: Vec<BorrowedFd<'_>> = chunk.iter().map(AsFd::as_fd).collect();
        send_descriptors(door, TREES, &borrowed)?;
    }
    Ok(())
}

/// Passes the guest's end of a new link through the door.
pub(crate) fn send_link(door: &OwnedFd, link: &OwnedFd) -> Result<()> {
    send_descriptors(door, NEW_LINK, &[link.as_fd()])
}

fn send_descriptors(door: &OwnedFd, tag: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TREES_PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Error::Busy {
            what: "pass descriptors to the guest".to_owned(),
            why: "too many at once".to_owned(),
        });
    }
    sendmsg(door, &[IoSlice::new(tag)], &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|error| match error {
            Errno::PIPE | Errno::CONNRESET => Error::LinkLost {
                why: format!("passing descriptors to the guest: {error}"),
            },
            error => Error::io("pass descriptors to the guest", error),
        })
}

/// Sends the set-up program.
pub(crate) async fn send_program(link: &mut UnixStream, program: &Program) -> Result<()> {
    let body = postcard::to_allocvec(program)
        .map_err(|error| Error::io("encode the set-up program", std::io::Error::other(error)))?;
    if body.len() > MAX_PROGRAM_BYTES {
        return Err(Error::Busy {
            what: "send the set-up program".to_owned(),
            why: format!(
                "it has {} bytes, more than {MAX_PROGRAM_BYTES}: show fewer paths",
                body.len()
            ),
        });
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    link.write_all(&bytes).await.map_err(|error| Error::LinkLost {
        why: format!("sending the set-up program: {error}"),
    })
}

/// Waits for the guest's answer.
pub(crate) async fn receive_reply(driver: &str, link: &mut UnixStream) -> Result<Attestation> {
    let lost = |error: std::io::Error| Error::LinkLost {
        why: format!("waiting for the guest's set-up: {error}"),
    };
    let length = link.read_u32_le().await.map_err(lost)?;
    if length > MAX_REPLY_BYTES {
        return Err(Error::protocol(format!(
            "the answer to the set-up has {length} bytes"
        )));
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
    link.read_exact(&mut body).await.map_err(lost)?;
    match postcard::from_bytes(&body) {
        Ok(SetupReply::Ready(attestation)) => Ok(*attestation),
        Ok(SetupReply::Failed { step, call, errno }) => Err(failed_step(driver, step, call, errno)),
        Err(error) => Err(Error::protocol(format!(
            "the answer to the set-up cannot be read: {error}"
        ))),
    }
}

fn failed_step(driver: &str, step: String, call: String, errno: i32) -> Error {
    Error::Create {
        driver: driver.to_owned(),
        remedy: remedy(&step, errno),
        step,
        cause: call,
    }
}

/// What usually lies behind a failing step.
fn remedy(step: &str, errno: i32) -> Option<String> {
    let text = match errno {
        libc::EPERM if step.contains("procfs") => {
            "this host shows only parts of /proc (a container?): run on the host itself, or give the container an unmasked /proc"
        }
        libc::EPERM | libc::EACCES if step.contains("overlay") => {
            "the kernel or a security module refuses overlay here: use --workspace-mode copy, or a workspace and state directory on ext4, xfs or btrfs"
        }
        libc::EINVAL if step.contains("overlay") => {
            "the state directory's file system cannot hold an overlay's upper layer (overlayfs and network file systems cannot): set XDG_STATE_HOME to ext4, xfs, btrfs or tmpfs, or use --workspace-mode copy"
        }
        libc::ENOSYS => {
            "the kernel is too old or an outer sandbox blocks this call: Linux 5.12 or newer is needed"
        }
        libc::EPERM => "a security module or an outer sandbox refuses this step: run on the host itself",
        libc::ENOENT | libc::ENOTDIR | libc::EACCES => "check that the path exists and can be reached by you",
        libc::ENOSPC if step.starts_with("write test") => {
            "free space where the state directory lies, or set XDG_STATE_HOME to a directory on another file system"
        }
        libc::EAGAIN if step.contains("keeper") => {
            "the limit on processes is reached: raise it with --pids, which counts the two of the sandbox itself"
        }
        libc::ENOSPC => "a limit is reached: /proc/sys/fs/mount-max or memory",
        _ => return None,
    };
    Some(text.to_owned())
}
