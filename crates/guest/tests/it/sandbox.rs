//! A guest in namespaces of its own. Killing "everything" is part of what is tested, so it
//! never runs outside of a PID namespace; the guest refuses it there, too.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use stockade_guest::{GuestConfig, Ready};

use crate::client::Client;

/// Argument that makes this program a guest.
pub const SERVE: &str = "serve-as-guest";

/// Variable that says whether commands get the inner wall.
const NESTED: &str = "TEST_NESTED_LANDLOCK";

/// Commands known at once in these tests.
pub const MAX_EXECS: u32 = 40;

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
pub fn serve() -> ! {
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
    let config = GuestConfig {
        nested_landlock: std::env::var_os(NESTED).is_some(),
        max_execs: MAX_EXECS,
    };
    std::process::exit(stockade_guest::serve(Ready { link, door, config }))
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

/// A running guest.
pub struct Sandbox {
    unshare: Child,
    door: Option<OwnedFd>,
}

impl Sandbox {
    /// Starts a guest and greets it.
    pub fn start() -> (Self, Client) {
        Self::start_with(|_| {})
    }

    /// Starts a guest whose commands get the inner wall.
    pub fn start_nested() -> (Self, Client) {
        Self::start_with(|command| {
            command.env(NESTED, "1");
        })
    }

    fn start_with(adjust: impl FnOnce(&mut Command)) -> (Self, Client) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (door, guest_door) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        // The launcher's habits must not reach commands: it ignores some signals.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap '' HUP INT TERM USR1; umask 077; exec \"$@\"",
            "sh",
            "unshare",
        ]);
        command
            .args(UNSHARE)
            .arg("--")
            .arg(std::env::current_exe().unwrap())
            .arg(SERVE);
        command.stdin(OwnedFd::from(theirs)).stdout(guest_door);
        adjust(&mut command);
        let unshare = command.spawn().unwrap();
        (
            Self {
                unshare,
                door: Some(door),
            },
            Client::new(ours),
        )
    }

    /// Passes a new link through the door.
    pub fn new_link(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.pass(b"L", &[theirs.as_fd()]);
        ours
    }

    /// Sends anything through the door.
    pub fn pass(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        let door = self.door.as_ref().unwrap();
        sendmsg(door, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::empty()).unwrap();
    }

    /// The supervisor dies.
    pub fn close_door(&mut self) {
        self.door = None;
    }

    /// Waits for the guest's end.
    pub fn wait(&mut self) -> ExitStatus {
        self.unshare.wait().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.door = None;
        let _ = self.unshare.wait();
    }
}
