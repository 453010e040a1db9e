//! Damages the set-up program of a driver, one step at a time. Each damage has to be noticed: the
//! set-up fails, or the receipt names a difference, or (named there, with the reason) a behaviour
//! of the conformance suite notices.

#![allow(clippy::unwrap_used, clippy::panic)]

mod chroot;
mod landlock;
mod native;
mod sandbox;

use stockade_conformance::program;

/// A stop of the suite's library says why.
#[test]
fn the_program_under_test_is_found() {
    match program::stockade() {
        Ok(path) => assert!(path.is_file()),
        Err(stop) => panic!("{}", stop.why()),
    }
}
