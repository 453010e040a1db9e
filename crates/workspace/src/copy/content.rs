//! The bytes of a file: shared where the file system can, else copied, holes left out.

use std::cell::Cell;
use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Bytes copied in one call.
const PIECE_BYTES: u64 = 64 << 20;
/// Bytes moved at a time where the kernel does not copy by itself.
const BLOCK_BYTES: usize = 128 << 10;

/// Makes `to`, which is empty, hold the same as `from`.
///
/// # Errors
/// `EFBIG` where more has to be copied than the budget has.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, size: u64, budget: Option<&Cell<u64>>) -> Result<(), Errno> {
    if size == 0 {
        return Ok(());
    }
    // Shared blocks: no data is moved (btrfs, xfs, bcachefs).
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    rustix::fs::ftruncate(to, size)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, size)? {
        if let Some(budget) = budget {
            budget.set(budget.get().checked_sub(end - start).ok_or(Errno::FBIG)?);
        }
        copy_range(from, to, start, end)?;
        at = end;
    }
    Ok(())
}

/// The next stretch with data from `at` on.
fn next_data(from: &OwnedFd, at: u64, size: u64) -> Result<Option<(u64, u64)>, Errno> {
    if at >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, size))),
        Err(error) => return Err(error),
    };
    let end = match rustix::fs::seek(from, SeekFrom::Hole(start)) {
        Ok(end) => end.min(size),
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok((start < end).then_some((start, end)))
}

fn copy_range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let length = usize::try_from((end - read_at).min(PIECE_BYTES)).unwrap_or(BLOCK_BYTES);
        match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length) {
            Ok(0) => return Ok(()), // shorter than it was
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                return copy_by_hand(from, to, read_at, end);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = start;
    while at < end {
        let wanted = usize::try_from(end - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let read = match rustix::io::pread(from, &mut block[..wanted], at) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        write_at(to, &block[..read], at)?;
        at += u64::try_from(read).unwrap_or(0);
    }
    Ok(())
}

/// Writes a whole file.
pub(super) fn write(to: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    write_at(to, bytes, 0)
}

fn write_at(to: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(to, bytes, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                at += u64::try_from(count).unwrap_or(0);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
