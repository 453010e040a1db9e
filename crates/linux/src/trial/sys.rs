//! System calls of the tries.

// Kernel interfaces take flags and lengths in types of other widths than Rust's; every
// conversion here is of a value that fits.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::io;
use std::ptr::NonNull;

/// Starts a child in new namespaces, which ends at once, and waits for it.
pub(super) fn clone_and_end(namespaces: i32) -> io::Result<()> {
    // SAFETY: all-zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: the arguments outlive the call; without CLONE_VM the child is a copy of this
    // process on a copy of this stack.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_mut(&mut args),
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    if pid == 0 {
        // SAFETY: ends the child without running destructors or the parent's exit handlers.
        unsafe { libc::_exit(0) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    loop {
        // SAFETY: waits for the child just made; no status is asked for.
        let waited = unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) };
        if waited >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Moves this process into new namespaces.
pub(super) fn unshare(namespaces: i32) -> io::Result<()> {
    // SAFETY: plain system call without pointers.
    if unsafe { libc::unshare(namespaces) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Memory for a guest: zeroed, page-aligned, its own mapping.
pub(super) struct GuestMemory {
    start: NonNull<u8>,
    bytes: usize,
}

impl GuestMemory {
    /// Maps some.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: a fresh private mapping at an address that the kernel chooses.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(mapped.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, bytes })
    }

    /// Copies bytes to an address of the guest, before the guest runs.
    pub(super) fn write(&mut self, at: usize, content: &[u8]) -> io::Result<()> {
        let end = at.checked_add(content.len()).filter(|end| *end <= self.bytes);
        end.ok_or_else(|| io::Error::other("outside of the guest's memory"))?;
        // SAFETY: the range lies in the mapping, which this value alone holds, and `content`
        // is other memory.
        unsafe {
            std::ptr::copy_nonoverlapping(content.as_ptr(), self.start.as_ptr().add(at), content.len());
        }
        Ok(())
    }

    /// Makes it the guest's physical memory from address 0 up. The machine must be gone before
    /// this value is.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn give_to(&self, machine: &kvm_ioctls::VmFd) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_bindings::kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: self.bytes as u64,
            userspace_addr: self.start.as_ptr() as u64,
        };
        // SAFETY: the range is a mapping that lives as long as this value, and the caller lets
        // the machine go first. No Rust reference to it exists.
        unsafe { machine.set_user_memory_region(region) }
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and not used any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes);
        }
    }
}
