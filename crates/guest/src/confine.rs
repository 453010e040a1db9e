//! What every process that runs or touches untrusted things enters before it does.

use rustix::process::{Pid, getpid};

use crate::setup::GuestConfig;
use crate::sys;

/// The inner walls of this sandbox.
#[derive(Clone, Copy)]
pub struct Walls {
    /// The kernel's Landlock scopes signals.
    nested_landlock: bool,
    /// The guest, as numbered inside.
    guest: Pid,
}

impl Walls {
    /// For commands that this process starts.
    pub fn new(config: &GuestConfig) -> Self {
        Self {
            nested_landlock: config.nested_landlock,
            guest: getpid(),
        }
    }

    /// Enters a second Landlock domain, nested in the guest's, from which the guest cannot
    /// be signalled, traced or connected to, and tests that it holds. A test that would
    /// pass without the domain proves nothing, so it is made before and after.
    pub fn nest(&self) -> Result<(), String> {
        if !self.nested_landlock {
            return Ok(());
        }
        sys::kill(self.guest, 0).map_err(|error| {
            format!("self-test: the guest could not be signalled even without the inner wall: {error}")
        })?;
        stockade_linux::landlock::enter_nested()
            .map_err(|error| format!("the inner Landlock wall: {error}"))?;
        match sys::kill(self.guest, 0) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
            Err(error) => Err(format!(
                "self-test: signalling the guest from behind the inner wall gave another error: {error}"
            )),
            Ok(()) => Err("self-test: the guest can be signalled from behind the inner wall".to_owned()),
        }
    }
}
