//! The host's end against a scripted guest, friendly and hostile.

use std::path::Path;
use std::time::Duration;

use stockade_domain::environment::Environment;
use stockade_wire::limits::{CHUNK, WINDOW};
use stockade_wire::{
    Ack, Data, Decoder, DirectoryEntry, Eof, ExecFailure, ExecId, ExitStatus, FailureKind, FileAnswer,
    FileKind, FileReply, Hello, RequestId, Resume, Stream, ToGuest, ToHost, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::error::CommandFailure;

const PATIENCE: Duration = Duration::from_secs(20);
const NONCE: [u8; 16] = [7; 16];
const FIRST: ExecId = ExecId(0);

/// The other end of a link.
struct Guest {
    stream: UnixStream,
    decoder: Decoder<ToGuest>,
    waiting: Vec<u8>,
}

impl Guest {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
            waiting: Vec::new(),
        }
    }

    async fn say(&mut self, message: ToHost) {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap();
        self.raw(&bytes).await;
    }

    async fn raw(&mut self, bytes: &[u8]) {
        // A host that has hung up is what some tests wait for.
        let _ = self.stream.write_all(bytes).await;
    }

    async fn hello(&mut self) {
        self.say(ToHost::Hello(Hello::new(0, NONCE))).await;
    }

    async fn hear(&mut self) -> Option<ToGuest> {
        loop {
            let mut input: &[u8] = &self.waiting;
            let message = self.decoder.next(&mut input).unwrap();
            let rest = input.to_vec();
            self.waiting = rest;
            if message.is_some() {
                return message;
            }
            let mut buffer = [0; 4096];
            match tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer))
                .await
                .unwrap()
            {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.waiting = buffer[..count].to_vec(),
            }
        }
    }

    /// Greets, and waits for the host's greeting and its first command.
    async fn begin(&mut self) {
        self.hello().await;
        assert!(matches!(self.hear().await, Some(ToGuest::Hello(_))));
        assert!(matches!(self.hear().await, Some(ToGuest::Exec(_))));
    }

    async fn out(&mut self, offset: usize, bytes: &[u8]) {
        self.say(ToHost::Data(data(Stream::Stdout, offset, bytes))).await;
    }
}

fn data(stream: Stream, offset: usize, bytes: &[u8]) -> Data {
    Data {
        exec: FIRST,
        stream,
        offset: offset as u64,
        bytes: bytes.to_vec(),
    }
}

fn pair() -> (UnixStream, Guest) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, Guest::new(theirs))
}

fn connect() -> (Session, Guest) {
    let (ours, guest) = pair();
    (Session::connect(Box::new(ours), 0), guest)
}

fn command() -> Command {
    Command {
        argv: vec!["cat".into()],
        env: Environment::default(),
        cwd: "/".into(),
        tty: None,
        stdin: true,
    }
}

async fn next(exec: &mut Exec) -> Result<ExecEvent> {
    tokio::time::timeout(PATIENCE, exec.next()).await.unwrap()
}

fn output(bytes: &[u8]) -> ExecEvent {
    ExecEvent::Output {
        stream: Stream::Stdout,
        bytes: bytes.to_vec(),
    }
}

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

// ---- a hostile guest ----

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

#[tokio::test]
async fn violations_end_the_session() {
    let exited = |status| ToHost::Exited { exec: FIRST, status };
    let unknown = ExecId(77);
    let failure = ExecFailure {
        exec: FIRST,
        kind: FailureKind::Other,
        errno: 0,
        text: String::new(),
    };
    let started = ToHost::Started { exec: FIRST, pid: 1 };
    let stdout = |offset, bytes: &[u8]| ToHost::Data(data(Stream::Stdout, offset, bytes));
    let cases: Vec<(&str, Vec<ToHost>)> = vec![
        (
            "an unknown command",
            vec![ToHost::Started {
                exec: unknown,
                pid: 1,
            }],
        ),
        ("a gap in a stream", vec![stdout(1, b"x")]),
        ("a repetition in a stream", vec![stdout(0, b"x"), stdout(0, b"x")]),
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
                stdout(0, b"x"),
            ],
        ),
        (
            "output after the command's end",
            vec![exited(ExitStatus::Code(0)), stdout(0, b"x")],
        ),
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
    ];
    for (name, messages) in cases {
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
            input.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            input.extend_from_slice(frame);
        }
        core.receive(serial, &input);
        let mut out = Vec::new();
        core.fill(&mut out).unwrap();
    }
}
