//! The walls around a process, on the kernel of this machine.
//!
//! They apply to a thread, cannot be taken down, and are judged by the first thread of a
//! process: so each is tried in a process of its own, this program started again for one task.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod caps;
#[cfg(target_arch = "x86_64")]
mod foreign;
mod helper;
mod landlock;
mod posture;
mod seccomp;
mod sys;
mod workloads;

use libtest_mimic::{Arguments, Trial};

fn main() {
    helper::enter_if_asked();
    let arguments = Arguments::from_args();
    let files = [
        caps::TESTS,
        #[cfg(target_arch = "x86_64")]
        foreign::TESTS,
        landlock::TESTS,
        posture::TESTS,
        seccomp::TESTS,
        workloads::TESTS,
    ];
    let trials = files.into_iter().flatten().map(|(name, test)| {
        Trial::test(*name, || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// Tests of one file: names and functions.
type Tests = &'static [(&'static str, fn())];

/// Makes the list of tests of a file from their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: crate::Tests = &[$((concat!(module_path!(), "::", stringify!($name)), $name as fn())),*];
    };
}
use tests;
