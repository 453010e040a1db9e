//! A test program as a guest in namespaces of its own. Included by path where other crates
//! need a real guest, too: a test program of one crate cannot use those of another.
//!
//! Killing "everything" is part of what is tested, so a guest never runs outside of a PID
//! namespace; it refuses that itself, too.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use stockade_guest::{GuestConfig, Ready};

/// Argument that makes a test program a guest.
pub const SERVE: &str = "serve-as-guest";

/// The namespaces, as root or as an ordinary user.
const UNSHARE: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
];

/// Becomes the guest, with the link and the door where standard input and output are.
pub fn serve(config: GuestConfig) -> ! {
    assert_eq!(
        std::process::id(),
        1,
        "a guest of the tests runs in its own PID namespace only"
    );
    let link = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let door = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    rustix::stdio::dup2_stdin(&null).unwrap();
    rustix::stdio::dup2_stdout(&null).unwrap();
    std::process::exit(stockade_guest::serve(Ready {
        link,
        door,
        config,
        terminals: Vec::new(),
        moved: Vec::new(),
        asks: None,
    }))
}

/// True if a guest can be started here.
pub fn namespaces_work() -> bool {
    let status = Command::new("unshare")
        .args(UNSHARE)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// This test program as a guest, to be started, with our ends of its link and its door.
/// `launcher` is what starts `unshare`.
pub fn guest(launcher: &[&str]) -> (Command, UnixStream, OwnedFd) {
    let (link, guest_link) = UnixStream::pair().unwrap();
    let (door, guest_door) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let words = [launcher, &["unshare"], &UNSHARE, &["--"]].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .arg(SERVE)
        .stdin(OwnedFd::from(guest_link))
        .stdout(guest_door);
    (command, link, door)
}

/// Sends something through a door.
pub fn pass(door: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
    sendmsg(door, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Passes a new link through a door; ours is returned.
pub fn new_link(door: &OwnedFd) -> rustix::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    pass(door, b"L", &[theirs.as_fd()])?;
    Ok(ours)
}
