//! /proc/PID/task/*/status: credentials and walls of every thread.

use std::os::fd::BorrowedFd;

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::text::{lines, number, numbers, read_file};
use super::{Cause, Part};

/// 65,536 groups of at most 11 bytes are the longest line.
const STATUS_LIMIT_BYTES: usize = 1 << 20;
/// A guest has one thread, a workload some hundreds.
const THREADS_LIMIT: usize = 32_768;
/// Readings before a process that keeps making threads counts as unstable.
const ATTEMPTS: usize = 3;

/// One thread as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its number in the reader's PID namespace.
    pub number: i32,
    /// Its number in each PID namespace, from the reader's to its own.
    pub numbers_inside: Vec<i32>,
    /// User ids, in the reader's user namespace.
    pub user: Ids,
    /// Group ids, in the reader's user namespace.
    pub group: Ids,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The five capability sets.
    pub capabilities: Capabilities,
    /// `execve` gives no rights. Unknown on kernels that do not tell (gVisor).
    pub no_new_privs: Option<bool>,
    /// System call filters.
    pub seccomp: Seccomp,
}

/// Ids that a thread acts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in credentials(7)
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    pub file_system: u32,
}

/// Capability sets, a bit for each capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in capabilities(7)
pub struct Capabilities {
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
}

/// System call filters of a thread. What is unknown was not told by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seccomp {
    /// 0 none, 1 strict, 2 filters.
    pub mode: Option<u8>,
    /// How many filters are stacked (Linux 5.9).
    pub filters: Option<u32>,
}

impl Ids {
    /// All four are `id`.
    #[must_use]
    pub fn all_are(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved, self.file_system] == [id; 4]
    }
}

impl Capabilities {
    /// No set has any.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Every thread, the first one first. The list and the count that the kernel gives must
/// agree, or a thread that is started meanwhile would be missed.
pub(super) fn threads(process: BorrowedFd<'_>) -> Part<Vec<Thread>> {
    for _ in 0..ATTEMPTS {
        let mut count = 0;
        let mut threads = Vec::new();
        let numbers = task_numbers(process)?;
        for task in &numbers {
            match read_file(process, &format!("task/{task}/status"), STATUS_LIMIT_BYTES) {
                // A thread that ended is no longer of interest; the count tells the rest.
                Err(Cause::Kernel(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH)) => {}
                content => {
                    let (thread, threads_now) = parse(&content?).map_err(Cause::Malformed)?;
                    count = threads_now;
                    threads.push(thread);
                }
            }
        }
        if !threads.is_empty() && threads.len() == count && task_numbers(process)? == numbers {
            return Ok(threads);
        }
    }
    Err(Cause::Unstable)
}

fn task_numbers(process: BorrowedFd<'_>) -> Part<Vec<i32>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut tasks = Vec::new();
    for entry in Dir::new(openat(process, "task", flags, Mode::empty())?)? {
        let entry = entry?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => tasks.push(number(name, 10).ok_or(Cause::Malformed("a name in task"))?),
        }
        if tasks.len() > THREADS_LIMIT {
            return Err(Cause::TooMuch(THREADS_LIMIT));
        }
    }
    Ok(tasks)
}

/// A thread, and how many its process has.
fn parse(content: &[u8]) -> Result<(Thread, usize), &'static str> {
    let mut fields = Fields::default();
    for line in lines(content) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err("a line of status");
        };
        let (key, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        fields.take(key, value)?;
    }
    fields.finish().ok_or("status without all of its lines")
}

/// What was found so far. The kernel writes each line once; names cannot fake one, because
/// it escapes line feeds in them.
#[derive(Default)]
struct Fields {
    number: Option<i32>,
    threads: Option<usize>,
    numbers_inside: Option<Vec<i32>>,
    user: Option<Ids>,
    group: Option<Ids>,
    groups: Option<Vec<u32>>,
    inheritable: Option<u64>,
    permitted: Option<u64>,
    effective: Option<u64>,
    bounding: Option<u64>,
    ambient: Option<u64>,
    no_new_privs: Option<bool>,
    seccomp: Option<u8>,
    filters: Option<u32>,
}

impl Fields {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"Pid" => set(&mut self.number, number(value, 10), "Pid of status"),
            b"Threads" => set(&mut self.threads, number(value, 10), "Threads of status"),
            b"NSpid" => set(&mut self.numbers_inside, numbers(value), "NSpid of status"),
            b"Uid" => set(&mut self.user, ids(value), "Uid of status"),
            b"Gid" => set(&mut self.group, ids(value), "Gid of status"),
            b"Groups" => set(&mut self.groups, numbers(value), "Groups of status"),
            b"CapInh" => set(&mut self.inheritable, number(value, 16), "CapInh of status"),
            b"CapPrm" => set(&mut self.permitted, number(value, 16), "CapPrm of status"),
            b"CapEff" => set(&mut self.effective, number(value, 16), "CapEff of status"),
            b"CapBnd" => set(&mut self.bounding, number(value, 16), "CapBnd of status"),
            b"CapAmb" => set(&mut self.ambient, number(value, 16), "CapAmb of status"),
            b"NoNewPrivs" => set(&mut self.no_new_privs, flag(value), "NoNewPrivs of status"),
            b"Seccomp" => set(&mut self.seccomp, number(value, 10), "Seccomp of status"),
            b"Seccomp_filters" => set(&mut self.filters, number(value, 10), "Seccomp_filters of status"),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Option<(Thread, usize)> {
        let thread = Thread {
            number: self.number?,
            numbers_inside: self.numbers_inside.unwrap_or_default(),
            user: self.user?,
            group: self.group?,
            groups: self.groups?,
            capabilities: Capabilities {
                inheritable: self.inheritable?,
                permitted: self.permitted?,
                effective: self.effective?,
                bounding: self.bounding?,
                ambient: self.ambient?,
            },
            no_new_privs: self.no_new_privs,
            seccomp: Seccomp {
                mode: self.seccomp,
                filters: self.filters,
            },
        };
        Some((thread, self.threads?))
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>, what: &'static str) -> Result<(), &'static str> {
    if slot.is_some() || value.is_none() {
        return Err(what);
    }
    *slot = value;
    Ok(())
}

fn ids(value: &[u8]) -> Option<Ids> {
    let [real, effective, saved, file_system] = <[u32; 4]>::try_from(numbers(value)?).ok()?;
    Some(Ids {
        real,
        effective,
        saved,
        file_system,
    })
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "Name:\ta: b\\nUid:\t0\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t77\nPid:\t78\n\
        PPid:\t1\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\nFDSize:\t64\nGroups:\t4 27 \nNSpid:\t78\t2\n\
        Threads:\t3\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000002\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000004\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n\
        Speculation_Store_Bypass:\tvulnerable\n";

    /// Every field arrives where it belongs; the name with a fake line in it does not matter.
    #[test]
    fn sample_is_read() {
        let (thread, threads) = parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!((thread.number, threads), (78, 3));
        assert_eq!(thread.numbers_inside, [78, 2]);
        assert_eq!(
            thread.user,
            Ids {
                real: 1000,
                effective: 1001,
                saved: 1002,
                file_system: 1003
            }
        );
        assert!(thread.group.all_are(5) && !thread.user.all_are(1000));
        assert_eq!(thread.groups, [4, 27]);
        let capabilities = thread.capabilities;
        assert_eq!(
            (
                capabilities.permitted,
                capabilities.effective,
                capabilities.ambient
            ),
            (1, 2, 4)
        );
        assert_eq!(
            (capabilities.inheritable, capabilities.bounding),
            (0, 0x1ff_ffff_ffff)
        );
        assert!(!capabilities.are_empty());
        assert_eq!(thread.no_new_privs, Some(true));
        assert_eq!(
            thread.seccomp,
            Seccomp {
                mode: Some(2),
                filters: Some(1)
            }
        );
    }

    /// What a kernel does not tell is unknown, not good.
    #[test]
    fn missing_walls_are_unknown() {
        let without: String = SAMPLE
            .lines()
            .filter(|line| !line.starts_with("Seccomp") && !line.starts_with("NoNew"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let (thread, _) = parse(without.as_bytes()).unwrap();
        assert_eq!((thread.no_new_privs, thread.seccomp), (None, Seccomp::default()));
    }

    /// Each needed line must be there, once, in its form.
    #[test]
    fn other_forms_are_refused() {
        for key in [
            "Pid", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Threads",
        ] {
            let lines: Vec<&str> = SAMPLE.lines().collect();
            let found = |line: &&&str| line.split(':').next() == Some(key);
            let rest: Vec<&str> = lines.iter().filter(|line| !found(line)).copied().collect();
            assert!(parse(rest.join("\n").as_bytes()).is_err(), "without {key}");
            let line = lines.iter().find(found).unwrap();
            let twice = format!("{}\n{line}\n", lines.join("\n"));
            assert!(parse(twice.as_bytes()).is_err(), "{key} twice");
            let odd = format!("{}\n{key}:\tx y\n", rest.join("\n"));
            assert!(parse(odd.as_bytes()).is_err(), "odd {key}");
        }
        assert!(parse(b"no colon").is_err());
    }

    proptest! {
        /// Hostile content is refused, not obeyed.
        #[test]
        fn never_panics(content: Vec<u8>) {
            let _ = parse(&content);
        }

        /// A wrong byte anywhere is a refusal or another reading, never a panic.
        #[test]
        fn one_byte_changed(at in 0..SAMPLE.len(), byte: u8) {
            let mut content = SAMPLE.as_bytes().to_vec();
            content[at] = byte;
            let _ = parse(&content);
        }
    }
}
