//! What this process has from its launcher.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{CallResult, InCall};
use crate::ops::Inventory;

/// More than a guest can have.
const MAX_DESCRIPTORS: usize = 1_024;

/// Reads it below /proc/self.
pub(super) fn take() -> CallResult<Inventory> {
    Ok(Inventory {
        descriptors: descriptors()?,
        environment_bytes: environment()?,
    })
}

fn descriptors() -> CallResult<Vec<(i32, String)>> {
    const AT: &str = "/proc/self/fd";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, AT, flags, Mode::empty()).in_call(|| format!("open {AT}"))?;
    let own = rustix::fd::AsRawFd::as_raw_fd(&directory);
    let mut all = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory).in_call(|| format!("read {AT}"))? {
        let entry = entry.in_call(|| format!("read {AT}"))?;
        let name = entry.file_name();
        let Some(number) = name.to_str().ok().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // The directory itself, twice: the reader has one of its own.
        let target = match rustix::fs::readlinkat(&directory, name, Vec::new()) {
            Ok(target) => target.to_string_lossy().into_owned(),
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error).in_call(|| format!("readlink {AT}/{number}")),
        };
        if number == own || target == format!("/proc/{}/fd", std::process::id()) {
            continue;
        }
        all.push((number, target));
        if all.len() > MAX_DESCRIPTORS {
            return Err(Errno::MFILE).in_call(|| "list own descriptors");
        }
    }
    Ok(all)
}

fn environment() -> CallResult<u64> {
    const AT: &str = "/proc/self/environ";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, AT, flags, Mode::empty()).in_call(|| format!("open {AT}"))?;
    let count = rustix::io::read(&file, &mut [0u8; 64]).in_call(|| format!("read {AT}"))?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}
