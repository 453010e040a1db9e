//! The door: the supervisor holds its other end as long as it lives, and passes new links
//! through it.

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketType, recvmsg,
    sockopt,
};

/// The message that brings a link.
const LINK: u8 = b'L';

/// What came through the door.
pub enum Visit {
    /// Nothing, or nothing that is wanted.
    Nobody,
    /// A new link.
    Link(OwnedFd),
    /// The supervisor is gone.
    Closed,
}

/// Takes one message, without waiting.
pub fn receive(door: BorrowedFd<'_>) -> Visit {
    // Room for one more than is wanted, so that a message with two is seen to have two.
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 2];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = match recvmsg(door, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
        Ok(message) => message,
        Err(Errno::AGAIN | Errno::INTR) => return Visit::Nobody,
        Err(_) => return Visit::Closed,
    };
    // Taken before anything is decided, so that each of them is closed on every way out.
    let mut passed: Vec<OwnedFd> = Vec::new();
    for item in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = item {
            passed.extend(fds);
        }
    }
    if message.bytes == 0 {
        return Visit::Closed;
    }
    let cut = message.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
    match (passed.pop(), passed.is_empty()) {
        (Some(link), true)
            if !cut && message.bytes == 1 && bytes.first() == Some(&LINK) && is_stream(&link) =>
        {
            Visit::Link(link)
        }
        _ => Visit::Nobody,
    }
}

/// A link is a connected stream between two processes and nothing else that a descriptor
/// can be.
fn is_stream(fd: &OwnedFd) -> bool {
    sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(fd) == Ok(SocketType::STREAM)
}
