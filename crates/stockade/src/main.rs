//! Stockade's program: a table of contents.

// Rust's own start reads /proc/self/maps and asks for more that nobody here uses: a tenth of
// a millisecond, twice a run.
#![cfg_attr(not(test), no_main)]

mod cli;
mod failure;
mod report;
mod rpc;
mod service;
mod sys;
mod terminal;

/// Exit code for what Stockade itself could not do, also where there is not even a null device to
/// complain to.
const FAILED: i32 = 125;

/// Called by the C library's start, see [`sys`].
#[cfg_attr(test, expect(dead_code, reason = "the test harness has its own start"))]
fn start() -> i32 {
    // The same file becomes PID 1 of a sandbox. It must get there before anything else is
    // parsed, started or allocated: what follows is not for the inside.
    if is_guest() {
        stockade_guest::main();
    }
    if terminal::hold_standard_streams().is_err() {
        return FAILED;
    }
    stockade_host::ignore_broken_pipes();
    failure::tell_panics();
    #[cfg(feature = "mutants")]
    if let Some(code) = service::mutants::begin() {
        return code;
    }
    service::run::start_guest_early();
    cli::main(rpc::serve)
}

/// Started by the name `stockade-guest`, or with the hidden command `guest`.
fn is_guest() -> bool {
    let mut words = std::env::args_os();
    let name = words.next();
    let name = name
        .as_deref()
        .map(std::path::Path::new)
        .and_then(std::path::Path::file_name);
    name.is_some_and(|name| name == "stockade-guest") || words.next().is_some_and(|word| word == "guest")
}
