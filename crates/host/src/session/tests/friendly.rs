//! A guest that keeps the protocol, over links that may drop.

use super::*;

#[tokio::test]
async fn a_command_tells_its_life_in_order() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    guest.say(ToHost::Started { exec: FIRST, pid: 9 }).await;
    guest.out(0, b"hello").await;
    assert_eq!(next(&mut exec).await.unwrap(), ExecEvent::Started { pid: 9 });
    assert_eq!(next(&mut exec).await.unwrap(), output(b"hello"));
    guest
        .say(ToHost::Stopped {
            exec: FIRST,
            signal: 20,
        })
        .await;
    assert_eq!(next(&mut exec).await.unwrap(), ExecEvent::Stopped { signal: 20 });
    guest.say(ToHost::Continued { exec: FIRST }).await;
    assert_eq!(next(&mut exec).await.unwrap(), ExecEvent::Continued);
    guest
        .say(ToHost::Exited {
            exec: FIRST,
            status: ExitStatus::Code(3),
        })
        .await;
    assert_eq!(
        next(&mut exec).await.unwrap(),
        ExecEvent::Exited(ExitStatus::Code(3))
    );
    drop(exec);
    assert!(matches!(
        guest.hear().await,
        Some(ToGuest::Forget { exec: FIRST })
    ));
}

#[tokio::test]
async fn output_that_came_before_the_end_is_told_before_it() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    guest.say(ToHost::Started { exec: FIRST, pid: 9 }).await;
    guest.out(0, b"x").await;
    guest
        .say(ToHost::Eof(Eof {
            exec: FIRST,
            stream: Stream::Stdout,
            offset: 1,
        }))
        .await;
    guest
        .say(ToHost::Exited {
            exec: FIRST,
            status: ExitStatus::Code(0),
        })
        .await;
    session.greeted().await.unwrap();
    next(&mut exec).await.unwrap();
    assert_eq!(next(&mut exec).await.unwrap(), output(b"x"));
    assert!(matches!(next(&mut exec).await.unwrap(), ExecEvent::Exited(_)));
}

#[tokio::test]
async fn a_command_that_does_not_start_says_why() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    let failure = ExecFailure {
        exec: FIRST,
        kind: FailureKind::NotFound,
        errno: 2,
        text: "nowhere".into(),
    };
    guest.say(ToHost::ExecFailed(failure)).await;
    let error = next(&mut exec).await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Command {
                kind: CommandFailure::NotFound,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn input_waits_for_credit() {
    let (session, mut guest) = connect();
    let exec = session.exec(&command()).unwrap();
    guest.begin().await;
    let mut input = exec.input();
    let written = tokio::spawn(async move {
        let done = input.write_all(&vec![1; WINDOW + 1]).await;
        input.finish();
        done
    });
    let mut received = 0;
    while received < WINDOW {
        let Some(ToGuest::Data(data)) = guest.hear().await else {
            panic!()
        };
        assert_eq!(data.offset, received as u64);
        received += data.bytes.len();
    }
    assert!(!written.is_finished());
    guest
        .say(ToHost::Ack(Ack {
            exec: FIRST,
            stream: Stream::Stdin,
            offset: 1,
        }))
        .await;
    assert!(matches!(guest.hear().await, Some(ToGuest::Data(data)) if data.bytes.len() == 1));
    assert!(written.await.unwrap().unwrap());
    assert!(matches!(guest.hear().await, Some(ToGuest::Eof(eof)) if eof.offset == WINDOW as u64 + 1));
}

#[tokio::test]
async fn who_reads_no_more_is_written_to_no_more() {
    let (session, mut guest) = connect();
    let exec = session.exec(&command()).unwrap();
    guest.begin().await;
    guest.say(ToHost::InputClosed { exec: FIRST }).await;
    let mut input = exec.input();
    input.closed().await;
    assert!(!input.write_all(b"x").await.unwrap());
}

#[tokio::test]
async fn output_is_confirmed_once_it_was_taken() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    for part in 0..WINDOW / CHUNK {
        guest.out(part * CHUNK, &vec![b'x'; CHUNK]).await;
    }
    let mut taken = 0;
    while taken < WINDOW {
        let ExecEvent::Output { bytes, .. } = next(&mut exec).await.unwrap() else {
            panic!()
        };
        taken += bytes.len();
    }
    let mut confirmed = 0;
    while confirmed < WINDOW as u64 / 2 {
        let Some(ToGuest::Ack(ack)) = guest.hear().await else {
            panic!()
        };
        assert!(ack.offset > confirmed && ack.offset <= WINDOW as u64);
        confirmed = ack.offset;
    }
}

#[tokio::test]
async fn streams_go_on_over_another_link_where_they_stopped() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    guest.say(ToHost::Started { exec: FIRST, pid: 9 }).await;
    guest.out(0, b"one").await;
    next(&mut exec).await.unwrap();
    assert_eq!(next(&mut exec).await.unwrap(), output(b"one"));
    let mut input = exec.input();
    input.push(b"abcdef");
    assert!(matches!(guest.hear().await, Some(ToGuest::Data(_))));
    drop(guest);
    let lost = session.lost().await;
    assert!(matches!(lost, Error::LinkLost { .. }), "{lost}");

    let (ours, mut guest) = pair();
    session.resume(Box::new(ours));
    assert!(matches!(guest.hear().await, Some(ToGuest::Hello(_))));
    let mut positions = Vec::new();
    for _ in 0..2 {
        let Some(ToGuest::Resume(resume)) = guest.hear().await else {
            panic!()
        };
        positions.push((resume.stream, resume.next_offset, resume.consumed_offset));
    }
    assert_eq!(positions, [(Stream::Stdout, 3, 3), (Stream::Stderr, 0, 0)]);
    guest.hello().await;
    // Four of the six bytes had arrived.
    let resume = Resume {
        exec: FIRST,
        stream: Stream::Stdin,
        next_offset: 4,
        consumed_offset: 2,
    };
    guest.say(ToHost::Resume(resume)).await;
    let Some(ToGuest::Data(rest)) = guest.hear().await else {
        panic!()
    };
    assert_eq!((rest.offset, rest.bytes.as_slice()), (4, b"ef".as_slice()));
    guest.out(3, b"two").await;
    assert_eq!(next(&mut exec).await.unwrap(), output(b"two"));
}

#[tokio::test]
async fn a_command_that_was_not_heard_is_asked_for_again() {
    let (session, guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    let mut input = exec.input();
    input.push(b"abc");
    drop(guest);
    session.lost().await;
    let (ours, mut guest) = pair();
    session.resume(Box::new(ours));
    guest.begin().await;
    for _ in 0..2 {
        assert!(matches!(guest.hear().await, Some(ToGuest::Resume(_))));
    }
    guest.say(ToHost::Started { exec: FIRST, pid: 1 }).await;
    assert!(
        matches!(guest.hear().await, Some(ToGuest::Data(data)) if data.offset == 0 && data.bytes == b"abc")
    );
    assert!(matches!(
        next(&mut exec).await.unwrap(),
        ExecEvent::Started { .. }
    ));
}

#[tokio::test]
async fn a_forgotten_command_is_forgotten_on_the_next_link_too() {
    let (session, mut guest) = connect();
    let exec = session.exec(&command()).unwrap();
    guest.begin().await;
    drop(guest);
    session.lost().await;
    drop(exec);
    let (ours, mut guest) = pair();
    session.resume(Box::new(ours));
    assert!(matches!(guest.hear().await, Some(ToGuest::Hello(_))));
    assert!(matches!(
        guest.hear().await,
        Some(ToGuest::Forget { exec: FIRST })
    ));
}

#[tokio::test]
async fn another_process_cannot_take_the_guests_place() {
    let (session, mut guest) = connect();
    guest.hello().await;
    session.greeted().await.unwrap();
    drop(guest);
    session.lost().await;
    let (ours, mut guest) = pair();
    session.resume(Box::new(ours));
    guest.say(ToHost::Hello(Hello::new(0, [8; 16]))).await;
    assert!(matches!(session.lost().await, Error::Protocol { .. }));
}

#[tokio::test]
async fn closing_the_session_wakes_all_that_wait() {
    let (session, mut guest) = connect();
    let mut exec = session.exec(&command()).unwrap();
    guest.begin().await;
    let waiting = tokio::spawn(async move { exec.next().await });
    tokio::task::yield_now().await;
    session.close("enough");
    assert!(matches!(waiting.await.unwrap(), Err(Error::LinkLost { why }) if why == "enough"));
}

#[tokio::test]
async fn files_are_read_and_written() {
    let (session, mut guest) = connect();
    guest.hello().await;
    let script = tokio::spawn(async move {
        let mut asked = Vec::new();
        guest.hear().await;
        while let Some(ToGuest::File(request)) = guest.hear().await {
            let answer = match &request.operation {
                stockade_wire::FileOperation::Read { .. } => FileAnswer::Chunk {
                    bytes: b"content".to_vec(),
                    stat: stat(7),
                },
                _ => FileAnswer::Done,
            };
            guest
                .say(ToHost::File(FileReply {
                    id: request.id,
                    result: Ok(answer),
                }))
                .await;
            asked.push(request);
        }
        asked.len()
    });
    let path = Path::new("/file");
    assert_eq!(session.read_file(path, 100).await.unwrap(), b"content");
    assert!(matches!(
        session.read_file(path, 6).await,
        Err(Error::File { .. })
    ));
    session
        .write_file(path, &vec![0; CHUNK + 1], 0o600)
        .await
        .unwrap();
    session.write_file(path, b"", 0o600).await.unwrap();
    drop(session);
    assert_eq!(script.await.unwrap(), 5);
}

fn stat(size: u64) -> stockade_wire::FileStat {
    stockade_wire::FileStat {
        kind: FileKind::Regular,
        mode: 0o600,
        uid: 0,
        gid: 0,
        size,
        identity: (1, 1),
        modified: (0, 0),
        target: Vec::new(),
    }
}
