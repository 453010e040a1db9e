//! Commands: start, posture, failure, signals, end.

use stockade_wire::{ByteStrings, ExecId, ExecRequest, ExitStatus, FailureKind, GuestPath, ToGuest};

use crate::client::{Client, Seen, request, script};
use crate::sandbox::{MAX_EXECS, Sandbox};

crate::tests![
    runs_a_command,
    tells_how_it_ended,
    gives_exactly_the_environment,
    starts_in_the_directory,
    names_each_failure,
    looks_in_the_requests_path,
    gives_a_known_posture,
    leaks_no_descriptor,
    signals_one_or_the_group,
    reports_a_stop_without_a_terminal,
    runs_many_at_once,
    bounds_their_number,
    forgetting_kills,
    known_number_repeats_what_was_said,
    reaps_orphans,
    survives_a_command_that_kills_all,
    asks_again_what_was_lost_with_a_link,
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn failure_of(seen: &Seen) -> (FailureKind, String) {
    let failure = seen.failure.as_ref().expect("a failure");
    assert_eq!(seen.events, ["failed"], "a failure is all that is said");
    (failure.kind, failure.text.clone())
}

// Start, output, both ends, exit: in this order.
fn runs_a_command() {
    let (_sandbox, mut client) = Sandbox::start();
    let seen = client.run(script("echo out; echo err >&2"));
    assert_eq!(seen.events, ["started", "eof", "eof", "exited"]);
    assert_eq!(
        (text(&seen.stdout).as_str(), text(&seen.stderr).as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(seen.status, Some(ExitStatus::Code(0)));
}

// Codes and signals come through unchanged.
fn tells_how_it_ended() {
    let (_sandbox, mut client) = Sandbox::start();
    for code in [0, 1, 127, 255] {
        assert_eq!(
            client.run(script(&format!("exit {code}"))).status,
            Some(ExitStatus::Code(code))
        );
    }
    for signal in [6, 9, 15] {
        assert_eq!(
            client.run(script(&format!("kill -{signal} $$"))).status,
            Some(ExitStatus::Signal(signal))
        );
    }
}

// Nothing of the launcher's environment, all of the request's.
fn gives_exactly_the_environment() {
    let (_sandbox, mut client) = Sandbox::start();
    let env = ByteStrings::new(["PATH=/usr/bin:/bin", "B=2 3", "EMPTY="]).unwrap();
    let seen = client.run(ExecRequest {
        env,
        ..request(&["env"])
    });
    assert_eq!(text(&seen.stdout), "PATH=/usr/bin:/bin\nB=2 3\nEMPTY=\n");
}

// The directory is entered; one that cannot be is a failure of its own kind.
fn starts_in_the_directory() {
    let (_sandbox, mut client) = Sandbox::start();
    let from = |path: &str| ExecRequest {
        cwd: GuestPath::new(path).unwrap(),
        ..request(&["pwd"])
    };
    assert_eq!(text(&client.run(from("/usr/lib")).stdout), "/usr/lib\n");
    for path in ["/no such directory", "/etc/passwd"] {
        let (kind, why) = failure_of(client.run(from(path)));
        assert_eq!(kind, FailureKind::BadCwd);
        assert!(why.contains(path), "{why}");
    }
}

// Each way of not starting has its kind and names the program.
fn names_each_failure() {
    let (_sandbox, mut client) = Sandbox::start();
    let prepared = client.run(script(
        "set -e; d=$(mktemp -d); cd $d; touch plain; printf 'no program\\0' > garbage; \
         printf '#!/no/such/interpreter\\n' > orphan; printf '#!/bin/sh\\necho ran' > good; \
         chmod +x garbage orphan good; echo $d",
    ));
    let directory = text(&prepared.stdout).trim().to_owned();
    let cases = [
        ("plain", FailureKind::NotExecutable, "permission"),
        ("garbage", FailureKind::NotExecutable, "neither a program"),
        ("orphan", FailureKind::NotExecutable, "loader"),
        ("missing", FailureKind::NotFound, "no program"),
        ("plain/below", FailureKind::NotFound, "no program"),
    ];
    for (name, kind, why) in cases {
        let path = format!("{directory}/{name}");
        let (found, said) = failure_of(client.run(request(&[&path])));
        assert_eq!(found, kind, "{name}: {said}");
        assert!(said.contains(why) && said.contains(&path), "{name}: {said}");
    }
    let (kind, said) = failure_of(client.run(request(&["no-such-program"])));
    assert_eq!(
        (
            kind,
            said.contains("no-such-program") && said.contains("/usr/bin")
        ),
        (FailureKind::NotFound, true)
    );
    assert_eq!(failure_of(client.run(request(&[""]))).0, FailureKind::NotFound);
    let control = client.run(request(&[&format!("{directory}/good")]));
    assert_eq!(text(&control.stdout), "ran\n");
    client.run(request(&["rm", "-r", &directory]));
}

// The PATH that counts is the command's, not the guest's; what is found but closed is told.
fn looks_in_the_requests_path() {
    let (_sandbox, mut client) = Sandbox::start();
    let with_path = |path: &str| {
        let env = ByteStrings::new([format!("PATH={path}")]).unwrap();
        ExecRequest {
            env,
            ..request(&["sh", "-c", "echo found"])
        }
    };
    assert_eq!(
        text(&client.run(with_path("/no:/etc/passwd:/bin")).stdout),
        "found\n"
    );
    assert_eq!(
        failure_of(client.run(with_path("/no:/etc"))).0,
        FailureKind::NotFound
    );
    let none = ExecRequest {
        env: ByteStrings::default(),
        ..request(&["sh", "-c", "echo found"])
    };
    assert_eq!(text(&client.run(none).stdout), "found\n");
}

// Signals, mask, umask, core limit, session: known, though the launcher had others.
fn gives_a_known_posture() {
    let (_sandbox, mut client) = Sandbox::start();
    let seen = client.run(script(
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; ulimit -c; \
         read pid comm state parent group session rest < /proc/$$/stat; \
         [ $pid = $group ] && [ $pid = $session ] && echo leads",
    ));
    let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n0\nleads\n";
    assert_eq!(text(&seen.stdout), expected);
}

// Three descriptors, all of them pipes, whatever else runs.
fn leaks_no_descriptor() {
    let (_sandbox, mut client) = Sandbox::start();
    let other = client.start(ExecRequest {
        stdin: true,
        ..request(&["cat"])
    });
    let terminal = client.start(ExecRequest {
        tty: Some(crate::client::SIZE),
        ..request(&["cat"])
    });
    client.until(|client| client.execs[&other].pid.is_some() && client.execs[&terminal].pid.is_some());
    let id = client.start(request(&["sleep", "1000"]));
    assert_eq!(descriptors(&mut client, id), "0 pipe\n1 pipe\n2 pipe\n");
}

/// Numbers and kinds of the descriptors of a running command, as another one sees them.
pub fn descriptors(client: &mut Client, id: ExecId) -> String {
    client.until(|client| client.execs[&id].pid.is_some());
    let pid = client.execs[&id].pid.unwrap();
    let list = format!("for fd in /proc/{pid}/fd/*; do echo ${{fd##*/}} $(readlink $fd | cut -d: -f1); done");
    text(&client.run(script(&list)).stdout)
}

// To the first process only, or to all of its group.
fn signals_one_or_the_group() {
    let (_sandbox, mut client) = Sandbox::start();
    let both = "trap 'echo parent' USR1; (trap 'echo child' USR1; echo ready; while :; do sleep 0.01; done) & \
                while :; do sleep 0.01; done";
    let id = client.start(script(both));
    client.until_output(id, "ready");
    client.signal(id, 10, true);
    client.until_output(id, "parent");
    client.until_output(id, "child");
    client.signal(id, 10, false);
    client.until(|client| text(&client.execs[&id].stdout).matches("parent").count() == 2);
    client.signal(id, 15, true);
    let seen = client.finish(id);
    assert_eq!(seen.status, Some(ExitStatus::Signal(15)));
    assert_eq!(
        text(&seen.stdout).matches("child").count(),
        1,
        "the second went to the parent only"
    );
}

// A command that stops itself is seen to be stopped, and goes on when told.
fn reports_a_stop_without_a_terminal() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(script("kill -STOP $$; echo went on"));
    client.until(|client| client.execs[&id].count("stopped") == 1);
    client.signal(id, 18, true);
    let seen = client.finish(id);
    // Its output may be faster than the news that it goes on.
    assert_eq!((seen.count("stopped"), seen.count("continued")), (1, 1));
    assert_eq!(text(&seen.stdout), "went on\n");
}

// Each gets its own output, and none waits for another.
fn runs_many_at_once() {
    let (_sandbox, mut client) = Sandbox::start();
    let holder = client.start(ExecRequest {
        stdin: true,
        ..request(&["cat"])
    });
    let ids: Vec<_> = (1..MAX_EXECS)
        .map(|number| client.start(script(&format!("echo {number}; exit {number}"))))
        .collect();
    for (number, id) in (1..MAX_EXECS).zip(ids) {
        let seen = client.finish(id);
        assert_eq!(text(&seen.stdout), format!("{number}\n"));
        assert_eq!(seen.status, Some(ExitStatus::Code(u8::try_from(number).unwrap())));
    }
    client.end_input(holder);
    assert_eq!(client.finish(holder).status, Some(ExitStatus::Code(0)));
}

// One more than allowed is refused; a forgotten one makes room.
fn bounds_their_number() {
    let (_sandbox, mut client) = Sandbox::start();
    let ids: Vec<_> = (0..MAX_EXECS).map(|_| client.start(request(&["true"]))).collect();
    for id in &ids {
        client.finish(*id);
    }
    let (kind, why) = failure_of(client.run(request(&["true"])));
    assert_eq!((kind, why.contains("40")), (FailureKind::Refused, true), "{why}");
    client.send(&ToGuest::Forget { exec: ids[0] });
    assert_eq!(client.run(request(&["true"])).status, Some(ExitStatus::Code(0)));
}

// Forgetting a command that runs ends it and all of its group.
fn forgetting_kills() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(script("sleep 1000 & echo $!; wait"));
    client.until_output(id, "\n");
    let (first, second) = (
        client.execs[&id].pid.unwrap(),
        text(&client.execs[&id].stdout).trim().to_owned(),
    );
    client.send(&ToGuest::Forget { exec: id });
    let gone =
        format!("while kill -0 {first} 2>/dev/null || kill -0 {second} 2>/dev/null; do :; done; echo gone");
    assert_eq!(text(&client.run(script(&gone)).stdout), "gone\n");
}

// A host that does not know whether its request arrived asks again and starts nothing twice.
fn known_number_repeats_what_was_said() {
    let (_sandbox, mut client) = Sandbox::start();
    let id = client.start(script("echo once"));
    client.finish(id);
    client.send(&ToGuest::Exec(ExecRequest {
        id,
        ..script("echo twice")
    }));
    client.until(|client| client.execs[&id].count("exited") == 2);
    assert_eq!(
        client.execs[&id].events,
        ["started", "eof", "eof", "exited", "started", "exited"]
    );
    assert_eq!(text(&client.execs[&id].stdout), "once\n");
}

// What a command leaves becomes the guest's child and is reaped.
fn reaps_orphans() {
    let (_sandbox, mut client) = Sandbox::start();
    let left = client.run(script("sleep 1000 >/dev/null 2>&1 & echo $!"));
    let orphan = text(&left.stdout).trim().to_owned();
    let check = format!(
        "grep PPid /proc/{orphan}/status; kill {orphan}; while kill -0 {orphan} 2>/dev/null; do :; done; echo gone"
    );
    assert_eq!(text(&client.run(script(&check)).stdout), "PPid:\t1\ngone\n");
}

// Without the inner wall a command can kill its neighbours and the guest's helpers; each is
// told of, and the guest goes on.
fn survives_a_command_that_kills_all() {
    let (_sandbox, mut client) = Sandbox::start();
    let neighbour = client.start(request(&["sleep", "1000"]));
    let terminal = client.start(ExecRequest {
        tty: Some(crate::client::SIZE),
        ..request(&["sleep", "1000"])
    });
    client.until(|client| client.execs[&neighbour].pid.is_some() && client.execs[&terminal].pid.is_some());
    client.run(script("kill -9 -1"));
    for id in [neighbour, terminal] {
        assert_eq!(client.finish(id).status, Some(ExitStatus::Signal(9)));
    }
    assert_eq!(client.run(request(&["true"])).status, Some(ExitStatus::Code(0)));
}

// A request that never arrived is made again on the next link; its input begins at its start.
fn asks_again_what_was_lost_with_a_link() {
    let (sandbox, mut client) = Sandbox::start();
    let request = ExecRequest {
        stdin: true,
        ..request(&["cat"])
    };
    let id = client.start_unsent();
    client.input(id, b"typed early");
    client.relink(sandbox.new_link());
    client.send(&ToGuest::Exec(ExecRequest { id, ..request }));
    client.end_input(id);
    let seen = client.finish(id);
    assert_eq!(seen.events, ["started", "eof", "eof", "exited"]);
    assert_eq!(text(&seen.stdout), "typed early");
}
