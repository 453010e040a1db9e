//! Which system calls a workload may make, as data.
//!
//! The list serves development work: compilers, language runtimes, version control,
//! debuggers, databases. A call is on it if such programs need it and it acts on what the
//! caller owns; it is refused if it acts on the machine, opens a large part of the kernel to
//! unprivileged code, or is only good for leaving a sandbox. What is on neither list does not
//! exist for the workload: programs then fall back to what older kernels had.

mod allowed;
mod refused;

use libc::c_long;

pub(super) use allowed::{ALLOWED, IPC, METADATA, NATIVE_ALLOWED, NATIVE_METADATA, OTHERS_PRIORITY};
pub use refused::{NATIVE_REFUSED, REFUSED};

/// A system call by name and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name as in the manual.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: c_long,
}

/// What happens to a call that is not simply allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fails with this error.
    Refuse(i32),
    /// Fails with this error unless the workload may make namespaces of its own.
    Nesting(i32),
    /// The arguments decide.
    Check(Check),
}

/// Decisions by arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// `clone`: no new namespaces (EPERM), unless the workload may nest.
    CloneFlags,
    /// `unshare`: the same.
    UnshareFlags,
    /// `socket`, `socketpair`: unix, internet with common protocols, netlink routing.
    Socket,
    /// `socketpair` where there are no sockets: connected for good.
    Pair,
    /// Acts on a process named by the first argument: 0, the caller itself.
    Own,
    /// `setpriority`: the caller itself.
    OwnPriority,
    /// `ioprio_set`: the same.
    OwnIoPriority,
    /// `ioctl`: no commands that drive a terminal from outside or load line disciplines.
    Ioctl,
    /// `personality`: only what changes names, nothing that weakens memory protection.
    Personality,
}

/// A call that is refused or checked, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call.
    pub call: Call,
    /// What happens.
    pub action: Action,
    /// Why, in a clause.
    pub reason: &'static str,
}

/// `calls! { SYS_read, … }`: names and numbers as libc knows them. With braces, so that the
/// lists are not formatted to one name a line.
macro_rules! calls {
    ($($name:ident),* $(,)?) => {
        &[$($crate::seccomp::rules::Call { name: stringify!($name), number: libc::$name }),*]
    };
}

/// `rules![SYS_acct: Refuse(EPERM), "why"; …]`.
macro_rules! rules {
    ($($name:ident : $action:expr, $reason:literal);* $(;)?) => {
        &[$($crate::seccomp::rules::Rule {
            call: $crate::seccomp::rules::Call { name: stringify!($name), number: libc::$name },
            action: $action,
            reason: $reason,
        }),*]
    };
}

pub(super) use {calls, rules};

/// Calls by which a process becomes another program. They are allowed; a supervisor can be
/// told of them.
pub(super) const STARTS: &[Call] = calls! { SYS_execve, SYS_execveat };

/// A call that libc does not name yet. From 424 on all architectures share their numbers.
const fn newer(name: &'static str, number: c_long) -> Call {
    Call { name, number }
}

/// The call that makes a socket.
pub(super) const SOCKET: Call = newer("SYS_socket", libc::SYS_socket);
/// The call that makes two connected ones.
pub(super) const SOCKETPAIR: Call = newer("SYS_socketpair", libc::SYS_socketpair);

/// The call that sets priorities.
pub(super) const SETPRIORITY: Call = newer("SYS_setpriority", libc::SYS_setpriority);
/// The call that sets priorities of input and output.
pub(super) const IOPRIO_SET: Call = newer("SYS_ioprio_set", libc::SYS_ioprio_set);

impl Call {
    /// The name without libc's prefix.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.strip_prefix("SYS_").unwrap_or(self.name)
    }
}
