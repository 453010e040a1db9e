//! The payload's only unsafe code: raw system calls, in ways that no library offers because
//! nobody should use them.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// An argument of a raw system call. Memory is given by a slice that outlives the call.
pub enum Arg<'a> {
    /// A number.
    Int(i64),
    /// Memory that the kernel may read and write.
    Bytes(&'a mut [u8]),
    /// A text.
    Text(&'a str),
    /// No memory.
    Null,
}

/// Makes a system call.
///
/// Attacks call only what takes at most the memory that their arguments name: none that
/// map, free or clone the memory of this process.
pub fn call(number: i64, arguments: &mut [Arg<'_>]) -> io::Result<i64> {
    let mut texts = Vec::new();
    let mut raw = [0_i64; 6];
    for (slot, argument) in raw.iter_mut().zip(arguments.iter_mut()) {
        *slot = match argument {
            Arg::Int(value) => *value,
            Arg::Bytes(bytes) => bytes.as_mut_ptr() as i64,
            Arg::Text(text) => {
                let text = CString::new(*text)?;
                let address = text.as_ptr() as i64;
                texts.push(text);
                address
            }
            Arg::Null => 0,
        };
    }
    let [a, b, c, d, e, f] = raw;
    // SAFETY: every address is that of memory that lives until this function returns; the
    // calls made with it keep within its length (see above).
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Takes a descriptor that a raw call returned.
pub fn own(descriptor: i64) -> Option<OwnedFd> {
    let raw = RawFd::try_from(descriptor).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: the kernel has just returned it and nothing else of this process knows it.
    Some(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Borrows an inherited descriptor by number, as a copy.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: dup only looks at the number; a closed one gives an error.
    let copy = unsafe { libc::dup(number) };
    own(i64::from(copy)).ok_or_else(io::Error::last_os_error)
}

/// Lets a descriptor pass to programs that are executed from here.
pub fn keep_over_exec(descriptor: RawFd) {
    // SAFETY: changes only a flag of a descriptor that the caller has open.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) };
}

/// Writes to standard output by the call gate of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub fn write_by_int80(text: &str) -> io::Result<i64> {
    const WRITE: i64 = 4;
    let (protection, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: makes new memory, below 4 GiB because the gate takes addresses of 32 bits.
    let low = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            protection,
            kind | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    if low == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let length = text.len().min(4096);
    // SAFETY: the new memory has 4096 bytes and is not overlapped by anything.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), low.cast::<u8>(), length) };
    let mut result = WRITE;
    // SAFETY: write(1, low, length) reads memory of our own. rbx is not nameable as an
    // operand, so it is exchanged around the gate; r8 to r11 are cleared by it.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {fd}", "int 0x80", "xchg rbx, {fd}",
            fd = inout(reg) 1_i64 => _, inout("rax") result, in("rcx") low, in("rdx") length,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let result = i64::from(i32::try_from(result & 0xffff_ffff).unwrap_or(-1));
    if result < 0 {
        Err(io::Error::other("refused"))
    } else {
        Ok(result)
    }
}

/// Other machines have no such gate.
#[cfg(not(target_arch = "x86_64"))]
pub fn write_by_int80(_: &str) -> io::Result<i64> {
    Err(io::Error::other("this machine has no int 0x80"))
}

/// Ignores a signal from now on, over exec, too.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives a signal its default meaning: the runtime of Rust ignores SIGPIPE.
pub fn reset(signal: i32) {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Blocks a signal from now on, over exec, too.
pub fn block(signal: i32) {
    // SAFETY: a zeroed set is valid memory for sigemptyset, which makes it an empty set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Creates a child that is a copy of this process and never returns from `then`.
pub fn fork(then: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: the payload has one thread where it forks, so the child may do what it likes;
    // it leaves without running what its parent has still to do.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            then();
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(0) }
        }
        child if child > 0 => Ok(child),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a child; its raw status.
pub fn wait(child: i32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: writes one integer of ours.
    let waited = unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) };
    if waited < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(status)
    }
}

/// The bytes of plain C data, for calls that take structures.
pub fn bytes_of<T: Copy>(value: &mut T) -> &mut [u8] {
    // SAFETY: the memory of `value` has this length and is borrowed as long; callers use
    // structures of integers, for which every byte pattern is a value.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(value).cast::<u8>(), size_of::<T>()) }
}

/// Adds to the addresses that a vectored call reads: a slice of ours, or a foreign address.
pub fn vector(address: u64, length: usize) -> [u8; 16] {
    let mut vector = [0; 16];
    vector[..8].copy_from_slice(&address.to_ne_bytes());
    vector[8..].copy_from_slice(&(length as u64).to_ne_bytes());
    vector
}
