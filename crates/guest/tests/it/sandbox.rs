//! A guest in namespaces of its own, with a client.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus};

use stockade_guest::GuestConfig;

use crate::client::Client;
use crate::namespaces;

/// Variable that says whether commands get the inner wall.
const NESTED: &str = "TEST_NESTED_LANDLOCK";

/// Commands known at once in these tests.
pub const MAX_EXECS: u32 = 40;

/// Becomes the guest.
pub fn serve() -> ! {
    namespaces::serve(GuestConfig {
        nested_landlock: std::env::var_os(NESTED).is_some(),
        max_execs: MAX_EXECS,
        contained: true,
    })
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
        // The launcher's habits must not reach commands: it ignores some signals.
        let (mut command, link, door) = namespaces::guest(&[
            "sh",
            "-c",
            "trap '' HUP INT TERM USR1; umask 077; exec \"$@\"",
            "sh",
        ]);
        adjust(&mut command);
        let sandbox = Self {
            unshare: command.spawn().unwrap(),
            door: Some(door),
        };
        (sandbox, Client::new(link))
    }

    /// Passes a new link through the door.
    pub fn new_link(&self) -> UnixStream {
        namespaces::new_link(self.door.as_ref().unwrap()).unwrap()
    }

    /// Sends anything through the door.
    pub fn pass(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        namespaces::pass(self.door.as_ref().unwrap(), bytes, fds).unwrap();
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
