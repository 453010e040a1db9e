//! Raw system calls for attacks.

use std::ffi::CStr;
use std::io;

use libc::c_long;

/// A system call as an attacker makes it. Arguments are numbers: where one is an address it is
/// null, or so low that nothing is mapped there.
pub fn raw(number: c_long, arguments: [u64; 6]) -> Result<c_long, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: callers pass no valid addresses, so that memory of this process is not touched.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        Ok(result)
    } else {
        Err(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

/// truncate(2) to nothing.
pub fn truncate(path: &CStr) -> io::Result<()> {
    // SAFETY: the path is a C string that outlives the call.
    if unsafe { libc::truncate(path.as_ptr(), 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `getpid` by the gate of 32-bit programs; what number 20 means there.
#[cfg(target_arch = "x86_64")]
pub fn getpid_by_int80() -> i64 {
    let result: i64;
    // SAFETY: the call has no arguments; the kernel keeps all registers but rax and r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result
}
