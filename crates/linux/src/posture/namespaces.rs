//! /proc/PID/ns: which namespaces a process is in.

use std::os::fd::BorrowedFd;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use super::text::number;
use super::{Cause, Part};

/// Kinds of namespaces, by the names of their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named as in namespaces(7)
pub enum Namespace {
    Cgroup,
    Ipc,
    Mnt,
    Net,
    Pid,
    PidForChildren,
    Time,
    TimeForChildren,
    User,
    Uts,
}

impl Namespace {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Cgroup,
        Self::Ipc,
        Self::Mnt,
        Self::Net,
        Self::Pid,
        Self::PidForChildren,
        Self::Time,
        Self::TimeForChildren,
        Self::User,
        Self::Uts,
    ];

    /// The name of the link below `ns`, and what stands before the number in its target.
    fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Cgroup => ("ns/cgroup", "cgroup"),
            Self::Ipc => ("ns/ipc", "ipc"),
            Self::Mnt => ("ns/mnt", "mnt"),
            Self::Net => ("ns/net", "net"),
            Self::Pid => ("ns/pid", "pid"),
            Self::PidForChildren => ("ns/pid_for_children", "pid"),
            Self::Time => ("ns/time", "time"),
            Self::TimeForChildren => ("ns/time_for_children", "time"),
            Self::User => ("ns/user", "user"),
            Self::Uts => ("ns/uts", "uts"),
        }
    }

    /// As in reports: `net`, `pid_for_children`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.link().0.trim_start_matches("ns/")
    }
}

/// The inode number of each namespace. Two processes share one if the numbers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces([Option<u64>; Namespace::ALL.len()]);

impl Namespaces {
    /// The number; none if the kernel has no such namespaces, or no process entered the one
    /// for children yet.
    #[must_use]
    pub fn get(&self, kind: Namespace) -> Option<u64> {
        Namespace::ALL
            .iter()
            .zip(self.0)
            .find(|(other, _)| **other == kind)
            .and_then(|(_, number)| number)
    }

    /// Kinds that both are in together, or of which one is unknown: what is unknown cannot
    /// count as separate.
    #[must_use]
    pub fn not_separate_from(&self, other: &Self) -> Vec<Namespace> {
        let same = |(_, (mine, theirs)): &(Namespace, (Option<u64>, Option<u64>))| {
            mine.is_none() || theirs.is_none() || mine == theirs
        };
        Namespace::ALL
            .into_iter()
            .zip(self.0.into_iter().zip(other.0))
            .filter(same)
            .map(|(kind, _)| kind)
            .collect()
    }
}

pub(super) fn read(process: BorrowedFd<'_>) -> Part<Namespaces> {
    let mut numbers = [None; Namespace::ALL.len()];
    let mut buffer = Vec::with_capacity(64);
    for (kind, slot) in Namespace::ALL.into_iter().zip(&mut numbers) {
        let (link, label) = kind.link();
        buffer.clear();
        let target = match readlinkat(process, link, buffer) {
            Err(Errno::NOENT) => {
                buffer = Vec::with_capacity(64);
                continue;
            }
            target => target?,
        };
        *slot = Some(parse(target.as_bytes(), label).ok_or(Cause::Malformed("the target of a link in ns"))?);
        buffer = target.into_bytes();
    }
    Ok(Namespaces(numbers))
}

/// `net:[4026531840]`.
fn parse(target: &[u8], label: &str) -> Option<u64> {
    let rest = target
        .strip_prefix(label.as_bytes())?
        .strip_prefix(b":[")?
        .strip_suffix(b"]")?;
    number(rest, 10).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(number: u64) -> Namespaces {
        Namespaces([Some(number); Namespace::ALL.len()])
    }

    /// The form of the links, and nothing else.
    #[test]
    fn link_targets() {
        assert_eq!(parse(b"net:[4026531840]", "net"), Some(4_026_531_840));
        for bad in [
            "net:[0]", "pid:[1]", "net:[1", "net:1]", "net:[]", "net:[x]", "net:[1]x", "",
        ] {
            assert_eq!(parse(bad.as_bytes(), "net"), None, "{bad}");
        }
    }

    /// Equal is shared, and so is what nobody knows.
    #[test]
    fn unknown_is_not_separate() {
        assert!(all(1).not_separate_from(&all(2)).is_empty());
        assert_eq!(all(1).not_separate_from(&all(1)), Namespace::ALL);
        let mut partly = all(2);
        partly.0[3] = None;
        assert_eq!(all(1).not_separate_from(&partly), [Namespace::Net]);
        assert_eq!(
            (partly.get(Namespace::Net), partly.get(Namespace::Uts)),
            (None, Some(2))
        );
    }
}
