//! A guest that breaks the protocol.

use super::*;

/// What the host says of a guest that sends these messages after a proper begin.
async fn verdict(messages: Vec<ToHost>) -> String {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    for message in messages {
        guest.say(message).await;
    }
    loop {
        match next(&mut exec).await {
            Ok(ExecEvent::Exited(_)) => match session.failed() {
                // What came with the end may be worse.
                None => tokio::task::yield_now().await,
                Some(error) => return error.to_string(),
            },
            Ok(_) => {}
            Err(Error::Protocol { why }) => return why,
            Err(other) => panic!("{other}"),
        }
    }
}

/// What a guest does wrong, and the messages with which it does.
type Violation = (&'static str, Vec<ToHost>);

fn out(offset: usize, bytes: &[u8]) -> ToHost {
    ToHost::Data(data(Stream::Stdout, offset, bytes))
}

fn exited(status: ExitStatus) -> ToHost {
    ToHost::Exited { exec: FIRST, status }
}

fn stream_violations() -> Vec<Violation> {
    let unknown = ExecId(77);
    vec![
        (
            "an unknown command",
            vec![ToHost::Started {
                exec: unknown,
                pid: 1,
            }],
        ),
        ("a gap in a stream", vec![out(1, b"x")]),
        ("a repetition in a stream", vec![out(0, b"x"), out(0, b"x")]),
        (
            "output in the wrong direction",
            vec![ToHost::Data(data(Stream::Stdin, 0, b"x"))],
        ),
        (
            "an end in the wrong place",
            vec![ToHost::Eof(Eof {
                exec: FIRST,
                stream: Stream::Stdout,
                offset: 5,
            })],
        ),
        (
            "output after its end",
            vec![
                ToHost::Eof(Eof {
                    exec: FIRST,
                    stream: Stream::Stdout,
                    offset: 0,
                }),
                out(0, b"x"),
            ],
        ),
        (
            "output after the command's end",
            vec![exited(ExitStatus::Code(0)), out(0, b"x")],
        ),
    ]
}

fn order_violations() -> Vec<Violation> {
    let failure = ExecFailure {
        exec: FIRST,
        kind: FailureKind::Other,
        errno: 0,
        text: String::new(),
    };
    let started = ToHost::Started { exec: FIRST, pid: 1 };
    vec![
        (
            "two ends",
            vec![exited(ExitStatus::Code(0)), exited(ExitStatus::Code(1))],
        ),
        (
            "a failure to start after the start",
            vec![started, ToHost::ExecFailed(failure)],
        ),
        ("a second greeting", vec![ToHost::Hello(Hello::new(0, NONCE))]),
        (
            "a confirmation of what was never sent",
            vec![ToHost::Ack(Ack {
                exec: FIRST,
                stream: Stream::Stdin,
                offset: 1,
            })],
        ),
        (
            "a resumption of what was never sent",
            vec![ToHost::Resume(Resume {
                exec: FIRST,
                stream: Stream::Stdin,
                next_offset: 9,
                consumed_offset: 0,
            })],
        ),
        (
            "an answer to nothing",
            vec![ToHost::File(FileReply {
                id: RequestId(3),
                result: Ok(FileAnswer::Done),
            })],
        ),
    ]
}

#[tokio::test]
async fn violations_end_the_session() {
    for (name, messages) in stream_violations().into_iter().chain(order_violations()) {
        let why = verdict(messages).await;
        assert!(!why.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_flood_beyond_the_credit_ends_the_session() {
    let (session, mut guest) = connect();
    let exec = session.exec(&command()).unwrap();
    guest.begin().await;
    for part in 0..=WINDOW / CHUNK {
        guest.out(part * CHUNK, &vec![b'x'; CHUNK]).await;
    }
    assert!(matches!(session.lost().await, Error::Protocol { .. }));
    drop(exec);
}

#[tokio::test]
async fn garbage_ends_the_session() {
    for bytes in [
        &[0xff; 64][..],
        &[4, 0, 0, 0, 99, 99, 99, 99],
        &[0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let (session, mut guest) = connect();
        guest.raw(bytes).await;
        assert!(
            matches!(session.lost().await, Error::Protocol { .. }),
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn a_guest_of_another_version_is_refused() {
    let (session, mut guest) = connect();
    guest
        .say(ToHost::Hello(Hello {
            version: 99,
            generation: 0,
            nonce: NONCE,
        }))
        .await;
    assert!(
        session
            .greeted()
            .await
            .unwrap_err()
            .to_string()
            .contains("version")
    );
}

#[tokio::test]
async fn a_directory_that_never_ends_is_left() {
    let (session, mut guest) = connect();
    guest.hello().await;
    tokio::spawn(async move {
        guest.hear().await;
        while let Some(ToGuest::File(request)) = guest.hear().await {
            let entries = vec![DirectoryEntry {
                name: b"a".to_vec(),
                kind: FileKind::Regular,
            }];
            let result = Ok(FileAnswer::Entries { entries, more: true });
            guest
                .say(ToHost::File(FileReply {
                    id: request.id,
                    result,
                }))
                .await;
        }
    });
    assert!(matches!(
        session.list_directory(Path::new("/"), 10).await,
        Err(Error::Protocol { .. })
    ));
}

#[tokio::test]
async fn messages_about_a_forgotten_command_are_late_not_wrong() {
    let (session, mut guest) = connect();
    let exec = session.exec(&command()).unwrap();
    guest.begin().await;
    drop(exec);
    guest.out(0, b"late").await;
    guest
        .say(ToHost::Exited {
            exec: FIRST,
            status: ExitStatus::Signal(9),
        })
        .await;
    assert!(matches!(guest.hear().await, Some(ToGuest::Forget { .. })));
    let second = session.exec(&command()).unwrap();
    assert!(matches!(guest.hear().await, Some(ToGuest::Exec(_))));
    assert!(session.failed().is_none());
    drop(second);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever bytes come: no panic, and the buffers stay within their windows.
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000), greet: bool) {
        let mut core = Core::new(0, [1; 16]);
        let serial = core.link_up();
        let id = core.new_exec_id().unwrap();
        core.start(command().request(id).unwrap());
        let mut input = Vec::new();
        if greet {
            encode(&ToHost::Hello(Hello::new(0, NONCE)), &mut input).unwrap();
        }
        // Frames with the right length reach the messages' decoder.
        for frame in bytes.chunks(37) {
            input.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes());
            input.extend_from_slice(frame);
        }
        core.receive(serial, &input);
        let mut out = Vec::new();
        core.fill(&mut out).unwrap();
    }
}
