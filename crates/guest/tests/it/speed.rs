//! How long things take and what they cost. Printed, never asserted: timing decides nothing.

use std::time::Instant;

use stockade_wire::{ExitStatus, ToGuest};

use crate::client::{Client, request, script};
use crate::sandbox::Sandbox;

crate::tests![exec_round_trip, exec_round_trip_behind_the_inner_wall, memory];

// Median time from the request to the exit of a program that does nothing.
fn exec_round_trip() {
    let (_sandbox, mut client) = Sandbox::start();
    measure("exec of /bin/true", &mut client);
}

// The same with the inner wall around each.
fn exec_round_trip_behind_the_inner_wall() {
    if !crate::inner_wall::supported() {
        return;
    }
    let (_sandbox, mut client) = Sandbox::start_nested();
    measure("exec of /bin/true behind the inner wall", &mut client);
}

fn measure(what: &str, client: &mut Client) {
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
        "{what}: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}

// What the guest keeps: after little, and after a flood.
fn memory() {
    let (_sandbox, mut client) = Sandbox::start();
    for (when, work) in [("at first", "true"), ("after 10 MiB of output", "seq 1500000")] {
        let id = client.start(script(work));
        assert_eq!(client.finish(id).status, Some(ExitStatus::Code(0)));
        client.send(&ToGuest::Forget { exec: id });
        let seen = client.run(script(
            "grep -E '^(Pss|Private_Dirty):' /proc/1/smaps_rollup | tr -s ' \\n' ' '",
        ));
        eprintln!("guest {when}: {}", String::from_utf8_lossy(&seen.stdout));
    }
}
