//! The ways to build a sandbox: one folder each, with the same file names.

use crate::driver::GuestProgram;
use crate::local;

pub mod chroot;
pub mod landlock;
pub mod native;

/// Starts a guest for the next sandbox of this process before it is known how it will look, for
/// the driver that is likely to build it: none named is the strongest. The calling thread must live
/// as long as that sandbox. A failure is not reported: creating the sandbox starts its own guest
/// then, and reports.
pub fn start_early(program: &GuestProgram, driver: Option<&str>) {
    match driver {
        None | Some(native::NAME) => local::start_early(program, true),
        Some(chroot::NAME | landlock::NAME) => local::start_early(program, false),
        Some(_) => {}
    }
}
