//! Canaries: what can be used before the walls stand, and must not be after.

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{CallResult, InCall};
use crate::ops::{Canary, Way};
use crate::sys;

/// The control: without the walls it can be used.
pub(super) fn usable(canary: &Canary) -> CallResult {
    attempt(canary).in_call(|| format!("the control: {}", describe(canary)))
}

/// With them it cannot, and for no other reason.
pub(super) fn refused(canary: &Canary) -> CallResult {
    match attempt(canary) {
        Err(Errno::ACCESS) => Ok(()),
        Err(other) => Err(other).in_call(|| format!("{}: EACCES was expected", describe(canary))),
        Ok(()) => Err(Errno::NOTSUP).in_call(|| format!("{} is still possible", describe(canary))),
    }
}

fn attempt(canary: &Canary) -> Result<(), Errno> {
    const NAME: &str = ".stockade-canary";
    let open = |path: &std::path::Path, flags: OFlags| {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o600)).map(drop)
    };
    match canary.way {
        Way::Read => open(&canary.path, OFlags::RDONLY),
        Way::Write => open(&canary.path, OFlags::WRONLY),
        Way::List => open(&canary.path, OFlags::RDONLY | OFlags::DIRECTORY),
        Way::Truncate => {
            let length = rustix::fs::stat(&canary.path)?.st_size;
            sys::truncate(&canary.path, length)
        }
        Way::Create => {
            let path = canary.path.join(NAME);
            open(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
            rustix::fs::unlinkat(CWD, &path, AtFlags::empty())
        }
    }
}

fn describe(canary: &Canary) -> String {
    let what = match canary.way {
        Way::Read => "read",
        Way::Write => "open for writing",
        Way::Truncate => "truncate",
        Way::List => "list",
        Way::Create => "make a file in",
    };
    format!("{what} {}", canary.path.display())
}
