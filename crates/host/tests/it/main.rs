//! Supervises sandboxes of a fake driver: the guest in them is the real one, as the first
//! process of a PID namespace; only the wall around it is missing. `sandbox` has all of it.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod control;
mod disk;
mod ends;
mod fake;
mod gc;
mod guest;
mod links;
#[path = "../../../guest/tests/it/namespaces.rs"]
mod namespaces;
mod opening;
mod rig;
mod sandbox;
mod signals;
mod streams;
mod sweep;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if std::env::args().next().as_deref() == Some("stockade-guest") {
        stockade_guest::main();
    }
    match std::env::args().nth(1).as_deref() {
        Some(namespaces::SERVE) => guest::serve(),
        Some(signals::SHIM) => signals::be_shim(),
        Some(gc::DIE) => gc::die(),
        Some(disk::FULL) => disk::be_on_a_full_disk(),
        _ => {}
    }
    let mut arguments = Arguments::from_args();
    // One after the other: a child that another test has just made holds the locks of this one's files
    // until it executes its program, and then what is dead looks alive.
    arguments.test_threads.get_or_insert(1);
    let namespaces = namespaces::namespaces_work();
    if !namespaces {
        eprintln!("skipped: `unshare` cannot make a PID namespace here, so no guest can be started in one");
    }
    let mut trials = Vec::new();
    for tests in [
        streams::TESTS,
        ends::TESTS,
        links::TESTS,
        control::TESTS,
        signals::TESTS,
        gc::TESTS,
        opening::TESTS,
        disk::TESTS,
        sandbox::TESTS,
        sweep::TESTS,
    ] {
        for (name, test) in tests {
            let trial = Trial::test(*name, || {
                test();
                Ok(())
            });
            trials.push(trial.with_ignored_flag(!namespaces));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
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
