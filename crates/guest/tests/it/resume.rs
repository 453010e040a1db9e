//! Links that drop, and what may come through the door.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};

use stockade_wire::{ExecRequest, ExitStatus, Hello, ToGuest};

use crate::client::{Client, request, script};
use crate::sandbox::Sandbox;
use crate::streams::sequence;

crate::tests![
    output_survives_dropped_links,
    input_survives_dropped_links,
    end_is_told_again,
    commands_run_without_a_link,
    new_link_replaces_a_live_one,
    door_takes_links_only,
    greeting_is_checked,
    garbage_costs_the_link_only,
];

// The link drops again and again in the middle of the flood: every byte once, in order.
fn output_survives_dropped_links() {
    let (sandbox, mut client) = Sandbox::start();
    let id = client.start(request(&["seq", "1500000"]));
    let mut next_drop = 100_000;
    while !client.execs[&id].is_over() {
        assert!(client.step());
        if client.execs[&id].stdout.len() >= next_drop {
            next_drop += 777_777;
            client.relink(sandbox.new_link());
        }
    }
    assert!(next_drop > 10 * 777_777, "it dropped more than ten times");
    assert!(client.execs[&id].stdout == sequence(1_500_000));
    assert_eq!(client.execs[&id].status, Some(ExitStatus::Code(0)));
}

// The same for input.
fn input_survives_dropped_links() {
    let (sandbox, mut client) = Sandbox::start();
    let id = client.start(ExecRequest {
        stdin: true,
        ..request(&["cat"])
    });
    client.until(|client| client.execs[&id].pid.is_some());
    let input = sequence(600_000);
    for part in input.chunks(300_000) {
        client.input_all(id, part);
        client.relink(sandbox.new_link());
    }
    client.end_input(id);
    let seen = client.finish(id);
    assert!(seen.stdout == input);
}

// Whether the host heard of an end before the drop or not: it hears of it on the new link.
fn end_is_told_again() {
    let (sandbox, mut client) = Sandbox::start();
    let ended = client.start(script("echo text; exit 7"));
    let failed = client.start(request(&["/no/such/program"]));
    client.finish(ended);
    client.finish(failed);
    client.relink(sandbox.new_link());
    client.until(|client| {
        client.execs[&ended].count("exited") == 2 && client.execs[&failed].count("failed") == 2
    });
    assert_eq!(
        client.execs[&ended].stdout, b"text\n",
        "what was received is not sent again"
    );
}

// Without a link a command goes on, and its output and its end are kept.
fn commands_run_without_a_link() {
    let (sandbox, mut client) = Sandbox::start();
    let id = client.start(ExecRequest {
        stdin: true,
        ..script("read line; echo got $line; exit 3")
    });
    client.until(|client| client.execs[&id].pid.is_some());
    client.input_all(id, b"it\n");
    client.lose_link();
    client.relink(sandbox.new_link());
    let seen = client.finish(id);
    assert_eq!(
        (seen.stdout.as_slice(), seen.status),
        (&b"got it\n"[..], Some(ExitStatus::Code(3)))
    );
}

// The old link is closed by the guest, so that its other end sees that it is over.
fn new_link_replaces_a_live_one() {
    let (sandbox, _client) = Sandbox::start();
    let mut first = Client::new(sandbox.new_link());
    first.until(|client| client.hello.is_some());
    let mut second = Client::new(sandbox.new_link());
    assert_eq!(second.run(script("exit 4")).status, Some(ExitStatus::Code(4)));
    while first.step() {}
}

// Other messages, other descriptors, more than one: ignored; the guest lives.
fn door_takes_links_only() {
    let (sandbox, mut client) = Sandbox::start();
    let (stream, _other) = UnixStream::pair().unwrap();
    let (datagram, _other2) = UnixDatagram::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    sandbox.pass(b"X", &[stream.as_fd()]);
    sandbox.pass(b"LL", &[stream.as_fd()]);
    sandbox.pass(b"L", &[stream.as_fd(), stream.as_fd()]);
    sandbox.pass(
        b"L",
        &[stream.as_fd(), stream.as_fd(), stream.as_fd(), stream.as_fd()],
    );
    sandbox.pass(b"L", &[datagram.as_fd()]);
    sandbox.pass(b"L", &[file.as_fd()]);
    assert_eq!(
        client.run(script("exit 5")).status,
        Some(ExitStatus::Code(5)),
        "the old link still serves"
    );
    client.relink(sandbox.new_link());
    assert_eq!(
        client.run(script("exit 6")).status,
        Some(ExitStatus::Code(6)),
        "and a proper one is taken"
    );
}

// No greeting, two greetings, another version: the link ends. The next one serves.
fn greeting_is_checked() {
    let (sandbox, _client) = Sandbox::start();
    let hello = Hello::new(0, [1; 16]);
    let cases: [&[ToGuest]; 3] = [
        &[ToGuest::Shutdown { grace_ms: 0 }],
        &[ToGuest::Hello(hello), ToGuest::Hello(hello)],
        &[ToGuest::Hello(Hello {
            version: hello.version + 1,
            ..hello
        })],
    ];
    for messages in cases {
        let mut client = Client::silent(sandbox.new_link());
        for message in messages {
            client.send(message);
        }
        while client.step() {}
        assert!(
            client.hello.is_some(),
            "the guest greets first, so that the host can tell versions apart"
        );
    }
    let mut client = Client::new(sandbox.new_link());
    assert_eq!(client.run(script("exit 6")).status, Some(ExitStatus::Code(6)));
}

// Bytes that are no message end the link and nothing else.
fn garbage_costs_the_link_only() {
    let (sandbox, mut client) = Sandbox::start();
    // The first link is held by others, too, who would hide its end.
    client.relink(sandbox.new_link());
    let id = client.start(ExecRequest {
        stdin: true,
        ..script("read line; echo got $line")
    });
    client.until(|client| client.execs[&id].pid.is_some());
    client.send_raw(&[0xff; 64]);
    while client.step() {}
    client.relink(sandbox.new_link());
    client.input_all(id, b"it\n");
    assert_eq!(client.finish(id).stdout, b"got it\n");
}
