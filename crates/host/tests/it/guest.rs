//! A real guest in namespaces of its own.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use stockade_guest::{GuestConfig, Ready};
use tokio::sync::watch;

/// Argument that makes this program a guest.
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
        nested_landlock: false,
        max_execs: 32,
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

/// A running guest; dropping it closes its door, which ends it.
pub struct Guest {
    pid: u32,
    door: OwnedFd,
    first_link: Mutex<Option<UnixStream>>,
    pub ended: watch::Receiver<Option<ExitStatus>>,
}

impl Guest {
    pub fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (door, guest_door) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let mut command = Command::new("unshare");
        command
            .args(UNSHARE)
            .arg("--")
            .arg(std::env::current_exe().unwrap())
            .arg(SERVE);
        command.stdin(OwnedFd::from(theirs)).stdout(guest_door);
        // The first process of a sandbox is not in the supervisor's process group.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child: Child = command.spawn().unwrap();
        let pid = child.id();
        let (told, ended) = watch::channel(None);
        std::thread::spawn(move || told.send(child.wait().ok()));
        Self {
            pid,
            door,
            first_link: Mutex::new(Some(ours)),
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
        if let Some(first) = self.first_link.lock().unwrap().take() {
            return Ok(first);
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [theirs.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(
            &self.door,
            &[IoSlice::new(b"L")],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        Ok(ours)
    }
}
