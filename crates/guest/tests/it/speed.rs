//! How long things take. Printed, never asserted: timing decides nothing.

use std::time::Instant;

use stockade_wire::{ExitStatus, ToGuest};

use crate::client::request;
use crate::sandbox::Sandbox;

crate::tests![exec_round_trip];

// Median time from the request to the exit of a program that does nothing.
fn exec_round_trip() {
    let (_sandbox, mut client) = Sandbox::start();
    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        let id = client.start(request(&["/bin/true"]));
        assert_eq!(client.finish(id).status, Some(ExitStatus::Code(0)));
        times.push(begin.elapsed());
        client.send(&ToGuest::Forget { exec: id });
    }
    times.sort();
    eprintln!(
        "exec of /bin/true: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
