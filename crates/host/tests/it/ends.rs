//! How runs end: six results, and what decides.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use stockade_domain::{Exit, Usage};
use stockade_host::audit;
use stockade_host::shim::stdio::{Io, Output};
use stockade_host::shim::{HostLimits, Options};

use crate::rig::{Rig, block_on, command, pipes, sh};

crate::tests![
    a_code_is_the_commands_own,
    a_signal_is_told_as_such,
    a_kill_at_the_memory_limit_is_told_from_another,
    a_time_limit_ends_one_that_is_deaf_to_sigterm,
    a_time_limit_ends_one_whose_output_nobody_reads,
    an_output_limit_ends_a_flood_at_the_byte,
    a_stop_lets_the_command_end_by_itself,
    a_killed_guest_is_told_as_killed,
    a_missing_program_is_127_and_one_that_is_none_126,
    a_reader_that_leaves_ends_the_writer,
    a_writer_deaf_to_sigpipe_ends_too,
    background_processes_do_not_outlive_the_command,
    a_failing_destroy_is_repeated_and_what_stays_is_told,
    the_audit_log_tells_the_life,
    a_run_leaves_nothing,
];

fn limits(limits: HostLimits) -> Options {
    Options {
        limits,
        ..Options::default()
    }
}

fn wall(millis: u64) -> Options {
    limits(HostLimits {
        wall: Some(Duration::from_millis(millis)),
        ..HostLimits::default()
    })
}

fn a_code_is_the_commands_own() {
    block_on(async {
        for code in [0, 1, 124, 137, 255] {
            let (outcome, _) = Rig::new().run(&format!("exit {code}")).await;
            let outcome = outcome.unwrap();
            assert_eq!(
                (outcome.exit, outcome.exit.code(), outcome.why),
                (Exit::Code(code), code, None)
            );
        }
    });
}

fn a_signal_is_told_as_such() {
    block_on(async {
        for signal in [1, 9, 11, 15] {
            let (outcome, _) = Rig::new().run(&format!("kill -{signal} $$")).await;
            assert_eq!(outcome.unwrap().exit, Exit::Signal(signal));
        }
    });
}

fn a_kill_at_the_memory_limit_is_told_from_another() {
    block_on(async {
        let rig = Rig::new();
        *rig.knobs.usage.lock().unwrap() = Usage {
            oom_kills: Some(1),
            ..Usage::default()
        };
        let (outcome, _) = rig.run("kill -9 $$").await;
        assert_eq!(outcome.unwrap().exit, Exit::OutOfMemory);
        // A command that got over the kill of another ends as it says.
        let (outcome, _) = rig.run("exit 3").await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(3));
        let (outcome, _) = rig.run("kill -15 $$").await;
        assert_eq!(outcome.unwrap().exit, Exit::Signal(15));
    });
}

fn a_time_limit_ends_one_that_is_deaf_to_sigterm() {
    block_on(async {
        let start = Instant::now();
        let script = "trap '' TERM INT HUP; echo up; while :; do sleep 1; done";
        let (outcome, said) = Rig::new().run_with(wall(300), sh(script), None).await;
        let outcome = outcome.unwrap();
        assert_eq!((outcome.exit, said.out()), (Exit::TimedOut, "up\n"));
        assert_eq!(outcome.why.as_deref(), Some("time limit of 300 ms"));
        assert!(start.elapsed() > Duration::from_millis(300));
    });
}

fn a_time_limit_ends_one_whose_output_nobody_reads() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(wall(300)).await;
        let (_reader, writer) = std::io::pipe().unwrap();
        let (io, _listener) = pipes(None);
        let io = Io {
            stdout: Output::from_fd(writer.into()),
            ..io
        };
        let outcome = shim.run_foreground(command(&["yes"]), io, |_| {}).await.unwrap();
        assert_eq!(outcome.exit, Exit::TimedOut);
    });
}

fn an_output_limit_ends_a_flood_at_the_byte() {
    block_on(async {
        let options = limits(HostLimits {
            output: Some(100_001),
            ..HostLimits::default()
        });
        let (outcome, said) = Rig::new().run_with(options, command(&["yes"]), None).await;
        let outcome = outcome.unwrap();
        assert_eq!((outcome.exit, said.stdout.len()), (Exit::OutputLimit, 100_001));
        // Just the limit is within it.
        let options = limits(HostLimits {
            output: Some(4),
            ..HostLimits::default()
        });
        let (outcome, said) = Rig::new().run_with(options, sh("printf 1234"), None).await;
        assert_eq!((outcome.unwrap().exit, said.out()), (Exit::Code(0), "1234"));
    });
}

fn a_stop_lets_the_command_end_by_itself() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let handle = shim.handle();
        let (io, listener) = pipes(None);
        let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
        let outcome = shim
            .run_foreground(sh(script), io, move |_| {
                handle.stop(Duration::from_secs(30), "the test")
            })
            .await
            .unwrap();
        assert_eq!(
            (outcome.exit, outcome.why.as_deref()),
            (Exit::Killed, Some("the test"))
        );
        let said = listener.said();
        // The stop may come before the trap is set.
        assert!(matches!(said.out(), "up\nbye\n" | "up\n" | ""), "{said:?}");
    });
}

fn a_killed_guest_is_told_as_killed() {
    block_on(async {
        for oom_kills in [0, 1] {
            let rig = Rig::new();
            *rig.knobs.usage.lock().unwrap() = Usage {
                oom_kills: Some(oom_kills),
                ..Usage::default()
            };
            let shim = rig.start(Options::default()).await;
            let knobs = std::sync::Arc::clone(&rig.knobs);
            let (io, _listener) = pipes(None);
            let kill = move |_| knobs.guest.lock().unwrap().as_ref().unwrap().kill();
            let outcome = shim
                .run_foreground(command(&["sleep", "1000"]), io, kill)
                .await
                .unwrap();
            assert_eq!(
                outcome.exit,
                if oom_kills > 0 {
                    Exit::OutOfMemory
                } else {
                    Exit::Killed
                }
            );
        }
    });
}

fn a_missing_program_is_127_and_one_that_is_none_126() {
    block_on(async {
        for (program, code) in [
            ("/no/such/program", 127),
            ("no-such-program", 127),
            ("/etc/passwd", 126),
        ] {
            let (outcome, _) = Rig::new()
                .run_with(Options::default(), command(&[program]), None)
                .await;
            let error = outcome.unwrap_err();
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(error.to_string().contains(program), "{error}");
        }
    });
}

async fn with_a_reader_that_leaves(script: &str) -> Exit {
    let rig = Rig::new();
    let shim = rig.start(Options::default()).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (io, _listener) = pipes(None);
    let io = Io {
        stdout: Output::from_fd(OwnedFd::from(writer)),
        ..io
    };
    shim.run_foreground(sh(script), io, |_| {}).await.unwrap().exit
}

fn a_reader_that_leaves_ends_the_writer() {
    block_on(async {
        assert_eq!(with_a_reader_that_leaves("yes").await, Exit::Signal(13));
    });
}

fn a_writer_deaf_to_sigpipe_ends_too() {
    block_on(async {
        let exit = with_a_reader_that_leaves("trap '' PIPE; while :; do seq 1 1000 || true; done").await;
        assert_eq!(exit, Exit::Signal(13));
    });
}

fn background_processes_do_not_outlive_the_command() {
    block_on(async {
        let rig = Rig::new();
        let mark = rig.place.path().join("alive");
        let script = format!(
            "(setsid sh -c 'trap \"\" TERM HUP; while :; do echo x >> {}; sleep 0.05; done' >/dev/null 2>&1 &); while ! test -s {0}; do sleep 0.05; done",
            mark.display()
        );
        let (outcome, _) = rig.run(&script).await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        // `unshare` stands between us and the first process, so that one ends a moment after it.
        let size = || std::fs::metadata(&mark).unwrap().len();
        let mut rounds = 0;
        loop {
            let before = size();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if size() == before {
                break;
            }
            rounds += 1;
            assert!(rounds < 10, "it is still written");
        }
    });
}

fn a_failing_destroy_is_repeated_and_what_stays_is_told() {
    block_on(async {
        let rig = Rig::new();
        rig.knobs
            .failing_destroys
            .store(2, std::sync::atomic::Ordering::Relaxed);
        let (outcome, _) = rig.run("exit 0").await;
        assert!(outcome.unwrap().leftovers.is_empty());
        assert!(rig.remains().is_empty());

        rig.knobs
            .failing_destroys
            .store(100, std::sync::atomic::Ordering::Relaxed);
        let (outcome, _) = rig.run("exit 5").await;
        let outcome = outcome.unwrap();
        assert_eq!((outcome.exit, outcome.leftovers.len()), (Exit::Code(5), 1));
        // The record stays, so that `gc` knows.
        let listed = rig.dirs.list().unwrap();
        assert_eq!(
            (listed.len(), listed[0].live, listed[0].status.leftovers.len()),
            (1, false, 1)
        );

        let (outcome, _) = rig
            .run_with(Options::default(), command(&["/no/such"]), None)
            .await;
        let error = outcome.unwrap_err();
        assert_eq!(error.exit_code(), 127);
        assert!(error.to_string().contains("stockade gc"), "{error}");
    });
}

fn the_audit_log_tells_the_life() {
    block_on(async {
        let rig = Rig::new();
        let mut command = sh("exit 3");
        command.env.set("SECRET", "hunter2");
        rig.run_with(wall(100_000), command, None).await.0.unwrap();
        let log = rig.audit();
        let verified = audit::verify(&log).unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        let kinds = ["receipt", "exec-started", "exec-ended", "destroyed"];
        assert_eq!(
            (verified.lines, verified.broken),
            (kinds.len() as u64, 0),
            "{text}"
        );
        for (line, kind) in text.lines().zip(kinds) {
            assert!(line.contains(&format!("\"kind\":\"{kind}\"")), "{line}");
        }
        assert!(text.contains("SECRET") && !text.contains("hunter2"));
    });
}

fn a_run_leaves_nothing() {
    block_on(async {
        let rig = Rig::new();
        for _ in 0..3 {
            rig.run("echo x").await.0.unwrap();
        }
        assert!(rig.remains().is_empty());
        assert_eq!(rig.knobs.destroys.load(std::sync::atomic::Ordering::Relaxed), 3);
    });
}
