//! The inner Landlock wall around each command.

use stockade_wire::ExitStatus;

use crate::client::{SIZE, script};
use crate::sandbox::Sandbox;

crate::tests![
    commands_cannot_signal_the_guest,
    commands_cannot_signal_each_other
];

/// The kernel's Landlock scopes signals from this version on.
const SCOPES: u32 = 6;

pub fn supported() -> bool {
    let supported = stockade_linux::landlock::abi() >= SCOPES;
    if !supported {
        eprintln!("skipped: this kernel's Landlock does not scope signals");
    }
    supported
}

// Behind the wall the guest and the leader of a terminal are out of reach; without it they
// are not, which shows that the test can tell.
fn commands_cannot_signal_the_guest() {
    if !supported() {
        return;
    }
    let attack = "kill -0 1 2>/dev/null && echo guest; kill -0 $PPID 2>/dev/null && echo parent; kill -0 $$ && echo self";
    for (nested, expected) in [(true, "self\n"), (false, "guest\nparent\nself\n")] {
        let (_sandbox, mut client) = if nested {
            Sandbox::start_nested()
        } else {
            Sandbox::start()
        };
        let plain = client.run(script(attack));
        assert_eq!(String::from_utf8_lossy(&plain.stdout), expected);
        let mut request = script(attack);
        request.tty = Some(SIZE);
        let terminal = client.run(request);
        assert_eq!(
            String::from_utf8_lossy(&terminal.stdout).replace('\r', ""),
            expected
        );
    }
}

// Two commands are walled off from each other; one can signal its own processes.
fn commands_cannot_signal_each_other() {
    if !supported() {
        return;
    }
    let (_sandbox, mut client) = Sandbox::start_nested();
    let other = client.start(script("exec sleep 1000"));
    client.until(|client| client.execs[&other].pid.is_some());
    let pid = client.execs[&other].pid.unwrap();
    let attack = format!("kill -9 {pid} 2>/dev/null && echo other; sleep 1000 & kill $! && echo own");
    assert_eq!(client.run(script(&attack)).stdout, b"own\n");
    client.signal(other, 15, true);
    assert_eq!(client.finish(other).status, Some(ExitStatus::Signal(15)));
}
