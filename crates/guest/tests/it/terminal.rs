//! Terminals: size, typing, job control.

use stockade_wire::{ExecRequest, ExitStatus, ToGuest, WindowSize};

use crate::client::{Client, SIZE, request, script};
use crate::sandbox::Sandbox;

crate::tests![
    is_a_terminal_of_the_size,
    resizes,
    interrupts,
    stops_and_goes_on,
    shell_does_job_control,
    end_of_input_is_typed,
    failure_is_told,
    leaks_no_descriptor_to_the_command,
    descendants_keep_the_terminal_for_a_moment_only,
    killed_leader_ends_the_command,
];

fn on_terminal(request: ExecRequest) -> ExecRequest {
    ExecRequest {
        tty: Some(SIZE),
        ..request
    }
}

fn shown(client: &Client, id: stockade_wire::ExecId) -> String {
    String::from_utf8_lossy(&client.execs[&id].stdout).replace("\r\n", "\n")
}

// A terminal on all three, of the size that was asked for, with one stream of output.
fn is_a_terminal_of_the_size() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script(
        "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size; echo err >&2",
    )));
    assert_eq!(client.finish(id).events, ["started", "eof", "exited"]);
    assert_eq!(shown(&client, id), "33 77\nerr\n");
}

// Another size is there when the next program asks, and the command is told by a signal.
fn resizes() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script(
        "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.01; done",
    )));
    client.until_output(id, "ready");
    client.send(&ToGuest::Resize {
        exec: id,
        size: WindowSize {
            rows: 10,
            columns: 20,
            ..SIZE
        },
    });
    assert_eq!(client.finish(id).status, Some(ExitStatus::Code(3)));
    assert_eq!(shown(&client, id), "ready\n10 20\n");
}

// Ctrl-C reaches the command.
fn interrupts() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script("echo ready; exec sleep 1000")));
    client.until_output(id, "ready");
    client.input_all(id, b"\x03");
    assert_eq!(client.finish(id).status, Some(ExitStatus::Signal(2)));
}

// Ctrl-Z stops even a command that is no shell; CONT lets it go on.
fn stops_and_goes_on() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(request(&["cat"])));
    client.input_all(id, b"one\n");
    client.until(|client| shown(client, id).matches("one").count() == 2);
    client.input_all(id, b"\x1a");
    client.until(|client| client.execs[&id].count("stopped") == 1);
    client.signal(id, 18, true);
    client.until(|client| client.execs[&id].count("continued") == 1);
    client.input_all(id, b"two\n");
    client.until(|client| shown(client, id).matches("two").count() == 2);
    client.input_all(id, b"\x03");
    assert_eq!(client.finish(id).status, Some(ExitStatus::Signal(2)));
}

// A shell stops and resumes its own jobs; the guest does not take that for its own stop.
fn shell_does_job_control() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(request(&["bash", "--norc", "--noprofile", "-i"])));
    client.input_all(id, b"sh -c 'echo job $((1+1)); exec sleep 1000'\n");
    client.until_output(id, "job 2");
    client.input_all(id, b"\x1a");
    client.until_output(id, "Stopped");
    client.input_all(id, b"kill -9 %1; echo code $((40+2))\n");
    client.until_output(id, "code 42");
    // The first is refused while the shell has not yet seen the job's end.
    client.input_all(id, b"exit 9\nexit 9\n");
    assert_eq!(client.finish(id).status, Some(ExitStatus::Code(9)));
    assert_eq!(client.execs[&id].count("stopped"), 0);
}

// A terminal cannot be half-closed: the end is typed, at the start of a line or within one.
fn end_of_input_is_typed() {
    let (_sandbox, mut client) = Sandbox::start();
    for text in ["line\n", "no line"] {
        let id = client.start(on_terminal(script("stty -echo; echo ready; exec cat")));
        client.until_output(id, "ready");
        client.input_all(id, text.as_bytes());
        client.end_input(id);
        assert_eq!(client.finish(id).status, Some(ExitStatus::Code(0)));
        assert_eq!(shown(&client, id), format!("ready\n{text}"));
    }
}

// A failure comes through the leader as it would without.
fn failure_is_told() {
    let (_sandbox, mut client) = Sandbox::start();
    let seen = client.run(on_terminal(request(&["/no/such/program"])));
    assert_eq!(seen.events, ["failed"]);
    assert_eq!(
        seen.failure.as_ref().unwrap().kind,
        stockade_wire::FailureKind::NotFound
    );
}

// Three descriptors and a known posture, as without a terminal.
fn leaks_no_descriptor_to_the_command() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script(
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; tty; exec sleep 1000",
    )));
    client.until_output(id, "/dev/pts/");
    let terminal = shown(&client, id).lines().last().unwrap().to_owned();
    let signals = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    assert_eq!(shown(&client, id), format!("{signals}{terminal}\n"));
    let expected = format!("0 {terminal}\n1 {terminal}\n2 {terminal}\n");
    assert_eq!(crate::exec::descriptors(&mut client, id), expected);
}

// A process that keeps the terminal does not keep the end.
fn descendants_keep_the_terminal_for_a_moment_only() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script("trap '' HUP; sleep 1000 & echo done")));
    assert_eq!(client.finish(id).status, Some(ExitStatus::Code(0)));
    assert_eq!(shown(&client, id), "done\n");
}

// Without its leader a command is not left to itself.
fn killed_leader_ends_the_command() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(on_terminal(script("trap '' HUP; echo ready; sleep 1000")));
    client.until_output(id, "ready");
    let pid = client.execs[&id].pid.unwrap();
    let kill = format!(
        "kill -9 $(sed -n 's/PPid:\\t//p' /proc/{pid}/status); while kill -0 {pid}; do :; done; echo gone"
    );
    assert_eq!(client.run(script(&kill)).stdout, b"gone\n");
    assert_eq!(client.finish(id).status, Some(ExitStatus::Signal(9)));
}
