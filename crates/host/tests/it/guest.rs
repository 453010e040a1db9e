//! A real guest in namespaces of its own.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
use std::sync::Mutex;

use stockade_guest::GuestConfig;
use tokio::sync::watch;

use crate::namespaces;

/// Becomes the guest.
pub fn serve() -> ! {
    namespaces::serve(GuestConfig {
        nested_landlock: false,
        max_execs: 32,
        contained: true,
    })
}

/// A running guest; dropping it closes its door, which ends it.
pub struct Guest {
    pid: u32,
    door: OwnedFd,
    first_link: Mutex<Option<UnixStream>>,
    pub ended: watch::Receiver<Option<ExitStatus>>,
}

impl Guest {
    pub fn start() -> Self {
        let (mut command, link, door) = namespaces::guest(&[]);
        // The first process of a sandbox is not in the supervisor's process group.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child: Child = command.spawn().unwrap();
        let pid = child.id();
        let (told, ended) = watch::channel(None);
        std::thread::spawn(move || told.send(child.wait().ok()));
        Self {
            pid,
            door,
            first_link: Mutex::new(Some(link)),
            ended,
        }
    }

    /// Kills the first process with all the others.
    pub fn kill(&self) {
        let Some(pid) = rustix::process::Pid::from_raw(self.pid.cast_signed()) else {
            return;
        };
        if self.ended.borrow().is_none() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// The first link, then new ones through the door.
    pub fn link(&self) -> rustix::io::Result<UnixStream> {
        match self.first_link.lock().unwrap().take() {
            Some(first) => Ok(first),
            None => namespaces::new_link(&self.door),
        }
    }
}
