//! The program's entry point. Rust's own would set up what is not needed here.

#[cfg(not(test))]
use std::ffi::{c_char, c_int};

/// Called by the C library once it is ready. Arguments are read through `std::env`, which the
/// C library's start fills as well.
// SAFETY: the only symbol of this name, with the signature that the C library calls.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _words: *const *const c_char) -> c_int {
    crate::start()
}
