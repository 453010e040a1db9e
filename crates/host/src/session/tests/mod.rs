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

mod friendly;
mod hostile;
