//! Starting a command, in the guest itself: its pipes or terminal, and the fork.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use stockade_linux::apply::Terminal;
use stockade_wire::{ExecFailure, ExecRequest, FailureKind, Stream, WindowSize};

use super::child::{self, Stdio};
use super::{leader, reports};
use crate::channel::set_nonblocking;
use crate::confine::Walls;
use crate::sys::{self, Fork};

/// Type of the file system of terminals, by which a stranger's file in its place shows.
const DEVPTS_MAGIC: rustix::fs::FsWord = 0x1cd1;

/// Where terminals are made: beside the others, or at the traditional place, which leads
/// there. Some file systems of terminals close the first to all.
const TERMINAL_MAKERS: [&str; 2] = ["/dev/pts/ptmx", "/dev/ptmx"];

/// A command that was started: the guest's ends, none of which blocks.
pub struct Spawned {
    pub child: Pid,
    pub input: Option<OwnedFd>,
    pub outputs: Vec<(OwnedFd, Stream)>,
    pub reports: OwnedFd,
}

/// Terminals that were opened at the set-up; where there are none, new ones are opened.
pub struct Pool {
    ready: Vec<Terminal>,
    /// There were some: no other can be opened.
    only: bool,
}

impl Pool {
    /// All that are given are nobody's yet.
    pub fn new(ready: Vec<Terminal>) -> Self {
        let only = !ready.is_empty();
        Self { ready, only }
    }

    /// Both ends of one that nobody has used.
    fn take(&mut self) -> Result<(OwnedFd, OwnedFd)> {
        match self.ready.pop() {
            Some(Terminal { master, slave, .. }) => Ok((master, slave)),
            None if self.only => Err(Failed(
                "take a terminal: all that this sandbox was made with were used",
                std::io::Error::from_raw_os_error(libc::ENXIO),
            )),
            None => terminal(),
        }
    }
}

/// A call that failed, by what it was for.
struct Failed(&'static str, std::io::Error);

type Result<T> = std::result::Result<T, Failed>;

/// Starts a command.
pub fn spawn(
    request: &ExecRequest,
    walls: &Walls,
    terminals: &mut Pool,
) -> std::result::Result<Spawned, ExecFailure> {
    let spawned = match request.tty {
        Some(size) => with_terminal(request, walls, size, terminals),
        None => with_pipes(request, walls),
    };
    spawned.map_err(|Failed(what, error)| {
        let remedy = match error.raw_os_error() {
            Some(libc::EAGAIN) => "; the limit on processes is reached: raise it with --pids",
            Some(libc::ENOMEM) => "; raise the limit with --memory",
            _ => "",
        };
        let text = format!("cannot start a command: {what}: {error}{remedy}");
        reports::failure(request.id, FailureKind::Other, error.raw_os_error(), text)
    })
}

fn with_pipes(request: &ExecRequest, walls: &Walls) -> Result<Spawned> {
    let (stdin, input) = pipe()?;
    let (output, stdout) = pipe()?;
    let (errors, stderr) = pipe()?;
    let (reports, status) = pipe()?;
    for end in [&output, &errors, &reports, &input] {
        never_wait(end.as_fd())?;
    }
    match sys::fork().map_err(|error| Failed("fork", error))? {
        Fork::Child => {
            let stdio = Stdio::Pipes {
                stdin: stdin.as_fd(),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
            };
            child::run(request, walls, &stdio, status.as_fd())
        }
        Fork::Parent(child) => Ok(Spawned {
            child,
            // Dropped, it is the end of the command's input.
            input: request.stdin.then_some(input),
            outputs: vec![(output, Stream::Stdout), (errors, Stream::Stderr)],
            reports,
        }),
    }
}

fn with_terminal(
    request: &ExecRequest,
    walls: &Walls,
    size: WindowSize,
    terminals: &mut Pool,
) -> Result<Spawned> {
    let (master, slave) = terminals.take()?;
    set_window_size(master.as_fd(), size);
    let input = fcntl_dupfd_cloexec(&master, 3)
        .map_err(|errno| Failed("copy a terminal's descriptor", errno.into()))?;
    let (reports, status) = pipe()?;
    for end in [&master, &reports] {
        never_wait(end.as_fd())?;
    }
    match sys::fork().map_err(|error| Failed("fork", error))? {
        Fork::Child => leader::run(request, walls, slave.as_fd(), status.as_fd()),
        Fork::Parent(child) => Ok(Spawned {
            child,
            input: Some(input),
            outputs: vec![(master, Stream::Stdout)],
            reports,
        }),
    }
}

/// Both ends of a new terminal. The second comes from the first, never from a path that
/// could lead elsewhere.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let failed = |errno: rustix::io::Errno| Failed("open a terminal", errno.into());
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let mut opened = Err(rustix::io::Errno::NOENT);
    for path in TERMINAL_MAKERS {
        opened = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
        if opened.is_ok() {
            break;
        }
    }
    let master = opened.map_err(failed)?;
    rustix::pty::unlockpt(&master).map_err(failed)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(failed)?;
    // The first may be a device node anywhere; the second stands where it says.
    let file_system = rustix::fs::fstatfs(&slave).map_err(failed)?;
    if file_system.f_type != DEVPTS_MAGIC {
        return Err(failed(rustix::io::Errno::NODEV));
    }
    Ok((master, slave))
}

/// Sets a terminal's size, which also tells its foreground processes.
pub fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: size.x_pixels,
        ws_ypixel: size.y_pixels,
    };
    // A terminal that is gone has no size.
    let _ = tcsetwinsize(terminal, size);
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failed("make a pipe", errno.into()))
}

fn never_wait(fd: BorrowedFd<'_>) -> Result<()> {
    set_nonblocking(fd).map_err(|errno| Failed("set up a pipe", errno.into()))
}
