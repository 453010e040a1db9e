//! What is read of a process that starts a program: for records only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::notify::Question;
use super::sys::{self, INFO_EXIT};

/// Arguments that are read.
pub const MAX_ARGUMENTS: usize = 65;
/// Bytes that are read of one argument.
pub const MAX_ARGUMENT_BYTES: usize = 4096;
/// Bytes that are read of one argument at first: most have fewer.
const FIRST_BYTES: usize = 192;
/// Memory is there or not by pages of at least this size.
const PAGE: u64 = 4096;
/// Longest path.
const PATH_BYTES: usize = 4096;

/// The program that a process is about to become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name as it was given, or the file behind a descriptor.
    pub name: Vec<u8>,
    /// Its arguments, shortened where they are long.
    pub arguments: Vec<Vec<u8>>,
    /// The working directory, as the process sees it.
    pub directory: Option<Vec<u8>>,
}

/// Which process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its number.
    pub pid: u32,
    /// Its parent's number; 0 if that cannot be seen from here.
    pub parent: u32,
}

impl Program {
    /// Reads it of the process that asks.
    ///
    /// # Errors
    /// Its memory cannot be read.
    pub fn read(question: &Question) -> Result<Self, Errno> {
        let thread = question.thread;
        let [first, second, third, ..] = question.arguments;
        let at = question.call == libc::SYS_execveat;
        let (path, arguments) = if at { (second, third) } else { (first, second) };
        let (name, pointers) = head(thread, path, arguments)?;
        let name = match name {
            // AT_EMPTY_PATH, or a path from a directory.
            name if at && name.first() != Some(&b'/') => behind(thread, first, &name),
            name => name,
        };
        Ok(Self {
            name,
            arguments: strings(thread, &pointers)?,
            directory: link(&format!("/proc/{thread}/cwd")),
        })
    }
}

/// The path, and the addresses of the arguments.
fn head(thread: u32, path: u64, arguments: u64) -> Result<(Vec<u8>, Vec<u64>), Errno> {
    let mut list = Vec::new();
    if arguments != 0 {
        // To the end of a page at first: what lies behind may not be there.
        let want = MAX_ARGUMENTS * size_of::<u64>();
        let mut bytes = read(thread, arguments, in_page(arguments, want))?;
        if bytes.len() < want && !ends(&bytes) {
            let next = arguments + bytes.len() as u64;
            bytes.extend(read(thread, next, want - bytes.len()).unwrap_or_default());
        }
        for word in bytes.chunks_exact(size_of::<u64>()) {
            match word.try_into().map(u64::from_ne_bytes) {
                Ok(0) | Err(_) => break,
                Ok(address) => list.push(address),
            }
        }
    }
    let name = string(thread, path, PATH_BYTES)?;
    Ok((name, list))
}

fn ends(pointers: &[u8]) -> bool {
    pointers
        .chunks_exact(size_of::<u64>())
        .any(|word| word.iter().all(|byte| *byte == 0))
}

/// How much of `want` lies in the page of `address`.
fn in_page(address: u64, want: usize) -> usize {
    let rest = PAGE - address % PAGE;
    want.min(usize::try_from(rest).unwrap_or(want))
}

fn read(thread: u32, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    let count = sys::read_memory(thread, &[(address, length)], &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Texts that end in a zero byte, all at once; those that are longer are read on.
fn strings(thread: u32, addresses: &[u64]) -> Result<Vec<Vec<u8>>, Errno> {
    let places: Vec<(u64, usize)> = addresses
        .iter()
        .map(|address| (*address, in_page(*address, FIRST_BYTES)))
        .collect();
    let mut bytes = vec![0; places.iter().map(|(_, length)| *length).sum()];
    let count = if places.is_empty() {
        0
    } else {
        sys::read_memory(thread, &places, &mut bytes)?
    };
    bytes.truncate(count);
    let mut rest = bytes.as_slice();
    let mut found = Vec::with_capacity(places.len());
    for (address, length) in places {
        let Some((piece, after)) = rest.split_at_checked(length) else {
            break;
        };
        rest = after;
        found.push(match piece.iter().position(|byte| *byte == 0) {
            Some(end) => piece.get(..end).unwrap_or_default().to_vec(),
            None => string(thread, address, MAX_ARGUMENT_BYTES)?,
        });
    }
    Ok(found)
}

/// One text, page by page.
fn string(thread: u32, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    if address == 0 {
        return Ok(text);
    }
    while text.len() < most {
        let next = address + text.len() as u64;
        let step = if text.is_empty() {
            FIRST_BYTES
        } else {
            most - text.len()
        };
        let piece = match read(thread, next, in_page(next, step)) {
            Ok(piece) if !piece.is_empty() => piece,
            Ok(_) => break,
            Err(error) if text.is_empty() => return Err(error),
            Err(_) => break,
        };
        match piece.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(piece.get(..end).unwrap_or_default());
                break;
            }
            None => text.extend_from_slice(&piece),
        }
    }
    Ok(text)
}

/// The file of a descriptor, and the path from it.
fn behind(thread: u32, descriptor: u64, path: &[u8]) -> Vec<u8> {
    // The kernel takes the lower half.
    let [a, b, c, d, ..] = descriptor.to_le_bytes();
    let descriptor = i32::from_le_bytes([a, b, c, d]);
    if descriptor == libc::AT_FDCWD {
        return path.to_vec();
    }
    let mut name = link(&format!("/proc/{thread}/fd/{descriptor}"))
        .unwrap_or_else(|| format!("descriptor {descriptor}").into_bytes());
    if !path.is_empty() {
        name.push(b'/');
        name.extend_from_slice(path);
    }
    name
}

fn link(path: &str) -> Option<Vec<u8>> {
    let target = rustix::fs::readlink(path, Vec::new()).ok()?;
    Some(target.into_bytes())
}

/// A process that started a program, until it ends.
#[derive(Debug)]
pub struct Watched {
    pidfd: OwnedFd,
    /// Its number.
    pub pid: u32,
}

impl Watched {
    /// Finds the process of a thread. Before the caller goes on: then the number is its own.
    ///
    /// # Errors
    /// The kernel's; ENOTTY before Linux 6.13.
    pub fn find(thread: u32) -> Result<(Self, Origin), Errno> {
        let pidfd = match open(thread) {
            // Not the first thread of its process.
            Err(Errno::INVAL | Errno::NOENT) => open(process_of(thread)?)?,
            other => other?,
        };
        let info = sys::pid_info(pidfd.as_fd(), 0)?;
        let origin = Origin {
            pid: info.tgid,
            parent: info.ppid,
        };
        Ok((
            Self {
                pidfd,
                pid: info.tgid,
            },
            origin,
        ))
    }

    /// How it ended, as wait(2) tells it. None while it has not, or nobody has waited for it.
    ///
    /// # Errors
    /// The kernel does not tell (before Linux 6.15).
    pub fn end(&self) -> Result<Option<i32>, Errno> {
        match sys::pid_info(self.pidfd.as_fd(), INFO_EXIT) {
            Ok(info) if info.mask & INFO_EXIT != 0 => Ok(Some(info.exit_code)),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn open(process: u32) -> Result<OwnedFd, Errno> {
    let number = i32::try_from(process).ok().and_then(Pid::from_raw);
    pidfd_open(number.ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// The process that a thread belongs to, and its parent, on kernels that tell it nowhere else.
fn process_of(thread: u32) -> Result<u32, Errno> {
    field(thread, "Tgid:").ok_or(Errno::SRCH)
}

fn field(thread: u32, name: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

impl Origin {
    /// The process of a thread from its status, which every kernel has.
    ///
    /// # Errors
    /// It is gone.
    pub fn from_status(thread: u32) -> Result<Self, Errno> {
        Ok(Self {
            pid: process_of(thread)?,
            parent: field(thread, "PPid:").unwrap_or(0),
        })
    }
}
