//! Streams: half-close, floods, slow readers, holders.

use stockade_wire::limits::WINDOW;
use stockade_wire::{ExecRequest, ExitStatus};

use crate::client::{request, script};
use crate::sandbox::Sandbox;

crate::tests![
    half_close_ends_the_input,
    no_input_is_at_its_end,
    large_input_arrives_whole,
    slow_reader_slows_only_its_command,
    unread_input_slows_only_its_sender,
    closed_input_is_told,
    background_process_does_not_hold_the_end,
    background_flood_does_not_hold_the_end,
    last_output_waits_for_a_slow_reader,
];

fn with_input(request: ExecRequest) -> ExecRequest {
    ExecRequest {
        stdin: true,
        ..request
    }
}

/// The numbers 1 to `last`, as `seq` prints them.
pub fn sequence(last: u32) -> Vec<u8> {
    (1..=last)
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect()
}

// Output goes on after the end of input.
fn half_close_ends_the_input() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(with_input(script("cat; echo after")));
    client.input_all(id, b"hello ");
    client.input_all(id, b"world\n");
    client.end_input(id);
    assert_eq!(client.finish(id).stdout, b"hello world\nafter\n");
}

// Without input a reader sees the end at once.
fn no_input_is_at_its_end() {
    let (_sandbox, mut client) = Sandbox::start();
    assert_eq!(client.run(request(&["cat"])).status, Some(ExitStatus::Code(0)));
}

// Several windows of input pass, confirmed on the way.
fn large_input_arrives_whole() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(with_input(request(&["cksum"])));
    let input = sequence(700_000);
    assert!(input.len() > 4 * WINDOW);
    client.input_all(id, &input);
    client.end_input(id);
    let through = client.finish(id).stdout.clone();
    let direct = client.run(script("seq 1 700000 | cksum")).stdout.clone();
    assert_eq!(through, direct);
}

// 10 MiB to a host that reads and does not confirm: one window comes, others work on;
// confirmed, all of it comes.
fn slow_reader_slows_only_its_command() {
    let (_sandbox, mut client) = Sandbox::start();
    client.acknowledges = false;
    let id = client.start(request(&["seq", "1500000"]));
    client.until(|client| client.execs[&id].stdout.len() == WINDOW);
    assert_eq!(client.run(request(&["echo", "meanwhile"])).stdout, b"meanwhile\n");
    assert_eq!(
        client.execs[&id].stdout.len(),
        WINDOW,
        "nothing comes without confirmation"
    );
    client.acknowledge(id);
    let seen = client.finish(id);
    assert!(seen.stdout.len() > 10 << 20);
    assert!(seen.stdout == sequence(1_500_000), "every byte once and in order");
}

// A command that does not read takes one window and no more, and disturbs nobody.
fn unread_input_slows_only_its_sender() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(with_input(request(&["sleep", "1000"])));
    let flood = vec![b'x'; 2 * WINDOW];
    let rest = client.input(id, &flood);
    assert_eq!(rest.len(), WINDOW);
    assert_eq!(client.run(request(&["echo", "meanwhile"])).stdout, b"meanwhile\n");
    client.signal(id, 9, false);
    assert_eq!(client.finish(id).status, Some(ExitStatus::Signal(9)));
}

// Who closes its input is told of at once, and what is sent still gets credit.
fn closed_input_is_told() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(with_input(script("exec <&-; sleep 1000")));
    client.until(|client| client.execs[&id].count("input closed") == 1);
    client.input_all(id, &vec![b'x'; 3 * WINDOW]);
    client.signal(id, 9, true);
    assert_eq!(client.finish(id).count("input closed"), 1);
}

// The end of a command is not the end of all who hold its output; it comes all the same.
fn background_process_does_not_hold_the_end() {
    let (_sandbox, mut client) = Sandbox::start();
    let seen = client.run(script("sleep 1000 & echo done"));
    assert_eq!(
        (seen.stdout.as_slice(), seen.status),
        (&b"done\n"[..], Some(ExitStatus::Code(0)))
    );
}

// Not even if it goes on writing.
fn background_flood_does_not_hold_the_end() {
    let (_sandbox, mut client) = Sandbox::start();
    let seen = client.run(script("echo done; yes &"));
    assert!(seen.stdout.starts_with(b"done\n"));
}

// What was written before the end is owed, however long the reader takes.
fn last_output_waits_for_a_slow_reader() {
    let (_sandbox, mut client) = Sandbox::start();
    client.acknowledges = false;
    // Fills the window and the pipe, and leaves a holder of the pipe behind.
    let id = client.start(script("sleep 1000 & exec head -c 1114112 /dev/zero"));
    client.until(|client| client.execs[&id].stdout.len() == WINDOW);
    // More than both graces.
    std::thread::sleep(std::time::Duration::from_millis(1300));
    client.acknowledge(id);
    let seen = client.finish(id);
    assert_eq!(
        (seen.stdout.len(), seen.status),
        (1_114_112, Some(ExitStatus::Code(0)))
    );
}
