//! Drives a real guest, as the first process of a PID namespace, over real sockets. Only
//! the set-up is left out: that is tested where it is made.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod ending;
mod exec;
mod files;
mod inner_wall;
mod namespaces;
mod resume;
mod sandbox;
mod speed;
mod streams;
mod terminal;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if std::env::args().nth(1).as_deref() == Some(namespaces::SERVE) {
        sandbox::serve();
    }
    let arguments = Arguments::from_args();
    let namespaces = namespaces::namespaces_work();
    if !namespaces {
        eprintln!("skipped: `unshare` cannot make a PID namespace here, so no guest can be started in one");
    }
    let mut trials = Vec::new();
    for tests in [
        exec::TESTS,
        streams::TESTS,
        resume::TESTS,
        terminal::TESTS,
        ending::TESTS,
        files::TESTS,
        inner_wall::TESTS,
        speed::TESTS,
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
