//! The system call filter: an allow-list for development work.
//!
//! | call | answer |
//! |---|---|
//! | of a foreign ABI (i386 by `int 0x80`, x32) | the process is killed: its numbers mean other calls |
//! | on the list | goes through, for a few only with certain arguments |
//! | that acts on the machine, leaves the sandbox, or opens kernel code nobody here needs | fails, mostly with EPERM |
//! | unknown, or newer than this list | ENOSYS, as on an older kernel |
//!
//! One filter holds all of it, made by a small generator of our own (see [`bpf`]): number
//! ranges in a balanced tree. The kernel answers what is allowed whatever its arguments are
//! from a bitmap that it computes once, by running the filter for every number.

mod bpf;
mod caller;
mod filter;
mod notify;
mod rules;
mod self_test;
pub mod substitutes;
mod sys;

#[cfg(test)]
mod tests;

use libc::sock_filter;
use rustix::io::Errno;
use stockade_domain::target::Fact;

pub use caller::{Origin, Program, Watched};
pub use notify::{Listener, Question};
pub use rules::{Action, Call, Check, NATIVE_REFUSED, REFUSED, Rule};
pub use self_test::{Baseline, after, before};
pub use substitutes::Substitutes;

/// What differs between filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The workload may make namespaces, and mounts in them, for a sandbox of its own.
    pub nested_namespaces: bool,
    /// A supervisor is told before a process becomes another program.
    pub tell_starts: bool,
    /// What the filter refuses in place of walls that are not there.
    pub substitutes: Substitutes,
}

/// Why a filter is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel did not take it.
    #[error("seccomp: the kernel did not take the system call filter: {source}; {}", remedy(*source))]
    Install {
        /// What it said.
        source: Errno,
    },
    /// The kernel took it, but a call is answered otherwise.
    #[error("seccomp self-test: under the filter {call} must fail with {expected}, but: {found}")]
    Ineffective {
        /// The call.
        call: &'static str,
        /// What it must fail with.
        expected: Errno,
        /// What it did.
        found: Found,
    },
    /// The calls of the self-test behaved like that before.
    #[error(
        "seccomp self-test: {conclusive} of the calls behave otherwise under the filter, 2 are needed; \
         another filter around Stockade refuses them too: run it outside of that sandbox"
    )]
    Inconclusive {
        /// How many behave otherwise.
        conclusive: usize,
    },
}

/// What a call of the self-test did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(pub Result<(), Errno>);

/// The program of a profile: no effect, the same on every machine of an architecture.
#[must_use]
pub fn program(profile: &Profile) -> Vec<sock_filter> {
    filter::assemble(*profile)
}

/// Puts the calling thread, and all that it starts, under the filter for good.
///
/// SECCOMP_FILTER_FLAG_SPEC_ALLOW is not used: since Linux 5.16 it changes nothing, and
/// before it would switch a mitigation off.
///
/// # Errors
/// The kernel's, EACCES where no_new_privs is not set.
pub fn install(profile: &Profile) -> Result<(), Error> {
    sys::add_filter(&program(profile)).map_err(|source| Error::Install { source })
}

/// The same for a profile that tells starts; gives the descriptor on which they are told. Until
/// somebody listens there, processes that start a program wait; when it is closed, they fail.
///
/// # Errors
/// The kernel's; EBUSY where a filter around this one tells somebody already.
pub fn install_telling(profile: &Profile) -> Result<std::os::fd::OwnedFd, Error> {
    sys::add_filter_with_listener(&program(profile)).map_err(|source| Error::Install { source })
}

/// Whether starts can be told: the kernel can (Linux 5.19), and no filter around this
/// process does so already.
#[must_use]
pub fn can_tell_starts() -> Fact {
    match sys::can_listen() {
        Ok(()) => {}
        Err(error) => {
            return Fact::no(
                format!("seccomp notifications: {error}"),
                "use Linux 5.19 or newer, outside of a sandbox that forbids them",
            );
        }
    }
    Fact::Yes
}

/// Asks the supervisor about a program that does not exist: shows whether it answers.
///
/// # Errors
/// Another answer than that there is no such program.
pub fn test_telling() -> Result<String, Error> {
    match sys::execute_nothing() {
        Err(Errno::NOENT) => Ok("the supervisor let a start go on, which found no program".to_owned()),
        found => Err(Error::Ineffective {
            call: "execve of nothing",
            expected: Errno::NOENT,
            found: Found(found),
        }),
    }
}

/// Whether the kernel has what [`install`] needs.
#[must_use]
pub fn supported() -> Fact {
    match sys::can_kill_process() {
        Ok(()) => Fact::Yes,
        Err(error) => Fact::no(format!("seccomp filters: {error}"), remedy(error)),
    }
}

fn remedy(error: Errno) -> &'static str {
    match error {
        Errno::ACCESS => "set no_new_privs first",
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => {
            "use Linux 4.14 or newer, built with CONFIG_SECCOMP_FILTER"
        }
        Errno::BUSY => {
            "a sandbox around this one records program starts, and the kernel lets only one do so: leave it to that one"
        }
        Errno::NOMEM => "too many filters are stacked: start Stockade in fewer sandboxes",
        _ => "start Stockade where the seccomp system call is allowed",
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Ok(()) => out.write_str("it succeeded"),
            Err(error) => write!(out, "it failed with {error}"),
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Install { source } => source.into(),
            other => Self::other(other),
        }
    }
}
