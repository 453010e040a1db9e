//! Other terminals.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stockade_domain::{Exit, Usage};
use stockade_host::control::{Client, ExecOutcome};
use stockade_host::error::{Error, Result};
use stockade_host::session::Command;
use stockade_host::shim::{Options, Outcome, RunEvent, run_exec};
use tokio::sync::{mpsc, oneshot};

use crate::rig::{Rig, Said, block_on, command, pipes, sh, source};

crate::tests![
    a_second_command_runs_with_its_own_streams,
    a_second_command_inherits_variables_and_directory,
    much_input_goes_through_the_socket,
    a_client_that_leaves_takes_its_command_along,
    a_missing_program_is_told_to_the_client,
    a_stop_ends_the_sandbox_and_its_clients,
    the_end_of_the_first_command_ends_the_others,
    what_it_uses_is_told,
    garbage_on_the_socket_hurts_nobody,
    an_ended_sandbox_cannot_be_connected_to,
];

/// Runs `other` while a sandbox stands; its first command is asked to end afterwards.
async fn beside<T>(rig: &Rig, other: impl AsyncFnOnce(&str) -> T) -> (T, Outcome) {
    let shim = rig.start(Options::default()).await;
    let (id, handle) = (shim.id().to_owned(), shim.handle());
    let (io, _listener) = pipes(None);
    let (started, ready) = oneshot::channel();
    let mut started = Some(started);
    let tell = move |event: RunEvent| {
        if let (RunEvent::Started { .. }, Some(started)) = (event, started.take()) {
            started.send(()).unwrap();
        }
    };
    let other = async {
        ready.await.unwrap();
        let result = other(&id).await;
        handle.stop(Duration::from_secs(20), "the test");
        result
    };
    let (result, outcome) = tokio::join!(other, shim.run_foreground(command(&["sleep", "1000"]), io, tell));
    (result, outcome.unwrap())
}

async fn exec(rig: &Rig, id: &str, command: &Command, input: Option<Vec<u8>>) -> (Result<ExecOutcome>, Said) {
    let client = Client::connect(&rig.dirs, id).await.unwrap();
    let (io, listener) = pipes(input.map(source));
    let (_tell, told) = mpsc::unbounded_channel();
    let outcome = run_exec(client, command, io, told, |_| {}).await;
    (outcome, listener.said())
}

fn a_second_command_runs_with_its_own_streams() {
    block_on(async {
        let rig = Rig::new();
        let script = sh("cat; echo err >&2; exit 7");
        let ((outcome, said), _) = beside(&rig, async |id: &str| {
            exec(&rig, id, &script, Some(b"in".to_vec())).await
        })
        .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(7));
        assert_eq!((said.out(), said.stderr.as_slice()), ("in", b"err\n".as_slice()));
    });
}

fn a_second_command_inherits_variables_and_directory() {
    block_on(async {
        let rig = Rig::new();
        let mut script = sh("pwd; echo $BASE $MORE");
        script.env = stockade_domain::environment::Environment::default();
        script.env.set("MORE", "more");
        script.cwd = std::path::PathBuf::new();
        let ((_, said), _) = beside(&rig, async |id: &str| exec(&rig, id, &script, None).await).await;
        assert_eq!(said.out(), "/\nbase more\n");
    });
}

fn much_input_goes_through_the_socket() {
    block_on(async {
        let rig = Rig::new();
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|number| (number % 251).to_le_bytes()[0])
            .collect();
        let cat = command(&["cat"]);
        let ((outcome, said), _) = beside(&rig, async |id: &str| {
            exec(&rig, id, &cat, Some(bytes.clone())).await
        })
        .await;
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        assert!(said.stdout == bytes);
    });
}

fn a_client_that_leaves_takes_its_command_along() {
    block_on(async {
        let rig = Rig::new();
        let mark = rig.place.path().join("mark");
        let script = sh(&format!(
            "while :; do echo x >> {}; sleep 0.02; done",
            mark.display()
        ));
        beside(&rig, async |id: &str| {
            let client = Client::connect(&rig.dirs, id).await.unwrap();
            let exec = client.exec(&script).unwrap();
            while !mark.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(exec);
            // It ends within a time that only a hang would pass: the mark stands still.
            let size = || std::fs::metadata(&mark).unwrap().len();
            loop {
                let before = size();
                tokio::time::sleep(Duration::from_millis(300)).await;
                if size() == before {
                    return;
                }
            }
        })
        .await;
    });
}

fn a_missing_program_is_told_to_the_client() {
    block_on(async {
        let rig = Rig::new();
        let missing = command(&["/no/such"]);
        let ((outcome, _), _) = beside(&rig, async |id: &str| exec(&rig, id, &missing, None).await).await;
        assert_eq!(outcome.unwrap_err().exit_code(), 127);
    });
}

fn a_stop_ends_the_sandbox_and_its_clients() {
    block_on(async {
        let rig = Rig::new();
        let sleep = command(&["sleep", "1000"]);
        let (result, outcome) = beside(&rig, async |id: &str| {
            let other = exec(&rig, id, &sleep, None);
            let stop = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Client::connect(&rig.dirs, id)
                    .await
                    .unwrap()
                    .stop(Duration::from_secs(5))
                    .await
            };
            let ((outcome, _), stopped) = tokio::join!(other, stop);
            stopped.unwrap();
            outcome
        })
        .await;
        assert_eq!(
            (outcome.exit, outcome.why.as_deref()),
            (Exit::Killed, Some("stockade stop"))
        );
        assert_eq!(result.unwrap().exit, Exit::Killed);
    });
}

fn the_end_of_the_first_command_ends_the_others() {
    block_on(async {
        let rig = Rig::new();
        let shim = rig.start(Options::default()).await;
        let id = shim.id().to_owned();
        let (io, _listener) = pipes(None);
        let mark = rig.place.path().join("mark");
        let first = sh(&format!(
            "while ! test -e {}; do sleep 0.02; done; exit 0",
            mark.display()
        ));
        let script = sh(&format!("touch {}; sleep 1000", mark.display()));
        let (outcome, (other, _)) = tokio::join!(
            shim.run_foreground(first, io, |_| {}),
            exec(&rig, &id, &script, None)
        );
        assert_eq!(outcome.unwrap().exit, Exit::Code(0));
        // Not the code of the first one.
        assert_eq!(other.unwrap().exit, Exit::Killed);
    });
}

fn what_it_uses_is_told() {
    block_on(async {
        let rig = Rig::new();
        *rig.knobs.usage.lock().unwrap() = Usage {
            memory_bytes: Some(42),
            ..Usage::default()
        };
        let (inspection, _) = beside(&rig, async |id: &str| {
            Client::connect(&rig.dirs, id)
                .await
                .unwrap()
                .inspect()
                .await
                .unwrap()
        })
        .await;
        assert_eq!(inspection.usage.memory_bytes, Some(42));
    });
}

fn garbage_on_the_socket_hurts_nobody() {
    block_on(async {
        let rig = Rig::new();
        let (outcome, first) = beside(&rig, async |id: &str| {
            let path = rig.dirs.path().join("sandboxes").join(id).join("ctl");
            drop(Client::connect(&rig.dirs, id).await.unwrap());
            let mut streams = Vec::new();
            for bytes in [
                &[0xff; 5000][..],
                b"GET / HTTP/1.1\r\n\r\n",
                &[1, 0, 0, 0, 7],
                &[4, 0, 0, 0, 0, 9, 9, 9],
                &[],
            ] {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.write_all(bytes).unwrap();
                streams.push(stream);
            }
            exec(&rig, id, &sh("exit 9"), None).await.0
        })
        .await;
        assert_eq!((outcome.unwrap().exit, first.exit), (Exit::Code(9), Exit::Killed));
    });
}

fn an_ended_sandbox_cannot_be_connected_to() {
    block_on(async {
        let rig = Rig::new();
        let (id, _) = beside(&rig, async |id: &str| id.to_owned()).await;
        assert!(matches!(
            Client::connect(&rig.dirs, &id).await,
            Err(Error::NotFound { .. })
        ));
    });
}
