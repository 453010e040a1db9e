//! The one Landlock call for which the library has no function.

use rustix::io::Errno;

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: u32 = 1;

/// The kernel's Landlock ABI.
pub(super) fn abi() -> Result<u32, Errno> {
    // SAFETY: with this flag the kernel takes no attributes: a null pointer of size 0.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            VERSION,
        )
    };
    u32::try_from(result)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
