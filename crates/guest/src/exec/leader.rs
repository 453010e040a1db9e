//! The leader of a terminal's session: a process of ours between the guest and the command.
//!
//! A command that were itself the leader could not be stopped by Ctrl-Z: its process group
//! would be orphaned, and such a group ignores that signal. So the leader stays our own
//! code, waits, and tells the guest what happens. It holds the terminal open as long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use stockade_wire::{ExecId, ExecRequest, FailureKind, ToHost};

use super::child::{self, Stdio};
use super::reports::{Reports, failure, report};
use super::{exit_status, signal_number};
use crate::confine::Walls;
use crate::sys::{self, Fork};

/// Signals that reach the leader of a session, or all processes at the end of a sandbox.
/// It has to outlive its command in order to report.
pub const IGNORED: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Longest report that is read at once.
const REPORT_BYTES: usize = 4096;

/// Leads the session until the command has ended, and ends itself.
pub fn run(request: &ExecRequest, walls: &Walls, terminal: BorrowedFd<'_>, reports: BorrowedFd<'_>) -> ! {
    // Without a name of its own it would look like a second guest.
    let _ = rustix::thread::set_name(c"stockade-tty");
    for signal in IGNORED {
        sys::ignore_signal(signal);
    }
    match lead(request, walls, terminal, reports) {
        Ok(()) => {}
        Err((what, error)) => {
            let text = format!("cannot start a command: {what}: {error}");
            let failure = failure(request.id, FailureKind::Other, error.raw_os_error(), text);
            report(reports, &ToHost::ExecFailed(failure));
        }
    }
    sys::exit_now(0)
}

type Failed = (&'static str, std::io::Error);

fn lead(
    request: &ExecRequest,
    walls: &Walls,
    terminal: BorrowedFd<'_>,
    reports: BorrowedFd<'_>,
) -> Result<(), Failed> {
    let failed = |what: &'static str| move |errno: Errno| (what, std::io::Error::from(errno));
    rustix::process::setsid().map_err(failed("make a session"))?;
    rustix::process::ioctl_tiocsctty(terminal).map_err(failed("take a terminal"))?;
    let (status, child_status) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"))?;
    let child = match sys::fork().map_err(|error| ("fork", error))? {
        Fork::Child => child::run(request, walls, &Stdio::Terminal(terminal), child_status.as_fd()),
        Fork::Parent(child) => child,
    };
    drop(child_status);
    // Other commands' pipes must not stay open because of this process.
    let [reports, _terminal, status] =
        keep_three(reports, terminal, status).map_err(|error| ("close descriptors", error))?;
    if forward_failure(status, reports.as_fd()) {
        return Ok(());
    }
    let pid = child.as_raw_nonzero().get().unsigned_abs();
    report(
        reports.as_fd(),
        &ToHost::Started {
            exec: request.id,
            pid,
        },
    );
    watch(request.id, child, reports.as_fd());
    Ok(())
}

fn keep_three(
    reports: BorrowedFd<'_>,
    terminal: BorrowedFd<'_>,
    status: OwnedFd,
) -> std::io::Result<[OwnedFd; 3]> {
    let kept = sys::keep_only([reports, terminal, status.as_fd()])?;
    // Its number is closed or another's by now.
    std::mem::forget(status);
    Ok(kept)
}

/// Waits until the command is executed. True if it was not; the guest then knows why.
fn forward_failure(status: OwnedFd, reports: BorrowedFd<'_>) -> bool {
    let mut scratch = [0; REPORT_BYTES];
    let (messages, _) = Reports::new(status).read(&mut scratch);
    for message in &messages {
        report(reports, message);
    }
    !messages.is_empty()
}

/// Reports each change of the command, until its end.
fn watch(exec: ExecId, child: Pid, reports: BorrowedFd<'_>) {
    loop {
        match waitpid(Some(child), WaitOptions::UNTRACED | WaitOptions::CONTINUED) {
            Ok(Some((_, status))) => {
                if let Some(message) = describe(exec, status) {
                    report(reports, &message);
                }
                if exit_status(status).is_some() {
                    return;
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn describe(exec: ExecId, status: WaitStatus) -> Option<ToHost> {
    if let Some(status) = exit_status(status) {
        Some(ToHost::Exited { exec, status })
    } else if let Some(signal) = status.stopping_signal() {
        Some(ToHost::Stopped {
            exec,
            signal: signal_number(signal),
        })
    } else {
        status.continued().then_some(ToHost::Continued { exec })
    }
}
