//! The environment that a program was started with.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::text::{number, os, read_file};
use super::{Cause, Part};

/// The kernel takes a quarter of the stack limit for arguments and environment.
const ENVIRON_LIMIT_BYTES: usize = 4 << 20;
/// A line of some 50 numbers and one name.
const STAT_LIMIT_BYTES: usize = 8 << 10;
/// Fields of /proc/PID/stat after the name: state is the third of all, `env_start` the 50th.
const ENV_START: usize = 50 - 3;

/// What is known of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The variables, `NAME=value`.
    Known(Vec<OsString>),
    /// Only its size: the process is not dumpable, and the reader is not root.
    Size {
        /// In bytes; 0 is an empty environment.
        bytes: u64,
    },
}

impl Environment {
    /// There is no variable in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Known(variables) => variables.is_empty(),
            Self::Size { bytes } => *bytes == 0,
        }
    }
}

pub(super) fn read(process: BorrowedFd<'_>) -> Part<Environment> {
    match read_file(process, "environ", ENVIRON_LIMIT_BYTES) {
        Err(Cause::Kernel(Errno::ACCESS | Errno::PERM)) => {
            let stat = read_file(process, "stat", STAT_LIMIT_BYTES)?;
            let bytes = size(&stat).ok_or(Cause::Malformed("stat, or it hides where the environment is,"))?;
            Ok(Environment::Size { bytes })
        }
        content => Ok(Environment::Known(variables(&content?))),
    }
}

fn variables(content: &[u8]) -> Vec<OsString> {
    content
        .split(|byte| *byte == 0)
        .filter(|variable| !variable.is_empty())
        .map(os)
        .collect()
}

/// From the addresses of its start and end. The kernel writes 0 for both where the reader may
/// not know: that is not an empty environment.
fn size(stat: &[u8]) -> Option<u64> {
    // The name may hold anything, closing brackets too; what follows holds none.
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(name_end + 1..)?.trim_ascii().split(|byte| *byte == b' ');
    let start: u64 = number(fields.nth(ENV_START)?, 10)?;
    let end: u64 = number(fields.next()?, 10)?;
    if start == 0 { None } else { end.checked_sub(start) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stat(name: &str, start: u64, end: u64) -> String {
        let between = "7 ".repeat(ENV_START - 1);
        format!("42 ({name}) S {between}{start} {end} 0\n")
    }

    /// Names that look like fields do not shift them.
    #[test]
    fn size_from_stat() {
        for name in ["cat", "a) S 1 2 3 (", ") ) )", "new\nline"] {
            assert_eq!(size(stat(name, 1000, 1000).as_bytes()), Some(0), "{name}");
            assert_eq!(size(stat(name, 1000, 1234).as_bytes()), Some(234), "{name}");
        }
    }

    /// Hidden addresses and odd ones are no size.
    #[test]
    fn hidden_is_not_empty() {
        for (start, end) in [(0, 0), (0, 5), (9, 5)] {
            assert_eq!(size(stat("cat", start, end).as_bytes()), None);
        }
        assert_eq!(size(b"42 (cat) S 1 2 3"), None);
    }

    /// Variables end with a zero byte; none at all is empty.
    #[test]
    fn variables_are_split() {
        assert!(Environment::Known(variables(b"")).is_empty());
        assert_eq!(variables(b"A=1\0B=\0"), ["A=1", "B="]);
        assert!(!Environment::Size { bytes: 1 }.is_empty() && Environment::Size { bytes: 0 }.is_empty());
    }

    /// The real field is where we look for it.
    #[test]
    fn own_size_matches_own_environment() {
        let directory = std::fs::File::open("/proc/self").unwrap();
        let directory = std::os::fd::AsFd::as_fd(&directory);
        let content = read_file(directory, "environ", ENVIRON_LIMIT_BYTES).unwrap();
        let stat = read_file(directory, "stat", STAT_LIMIT_BYTES).unwrap();
        assert_eq!(size(&stat), Some(content.len() as u64));
    }

    proptest! {
        /// Whatever stands there, it is taken or refused.
        #[test]
        fn never_panics(content: Vec<u8>) {
            let _ = (size(&content), variables(&content));
        }
    }
}
