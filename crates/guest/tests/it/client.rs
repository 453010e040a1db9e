//! A small host: blocking, and strict about the protocol.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stockade_wire::{
    Ack, ByteStrings, Data, Decoder, Eof, ExecFailure, ExecId, ExecRequest, ExitStatus, FileOperation,
    FileReply, FileRequest, FileResult, GuestPath, Hello, Outgoing, RecvWindow, RequestId, Resume,
    SendBuffer, Stream, ToGuest, ToHost, WindowSize, encode,
};

/// No answer for so long is a failure; it decides nothing else.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen of one command.
#[derive(Default)]
pub struct Seen {
    /// All that came, in order; data is left out.
    pub events: Vec<&'static str>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub pid: Option<u32>,
    pub status: Option<ExitStatus>,
    pub failure: Option<ExecFailure>,
    pub input: SendBuffer,
    input_held: bool,
    windows: [RecvWindow; 2],
}

impl Seen {
    pub fn is_over(&self) -> bool {
        self.status.is_some() || self.failure.is_some()
    }

    /// How many times something came.
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|seen| **seen == event).count()
    }
}

/// The host's end of a link, and all that it knows.
pub struct Client {
    link: UnixStream,
    /// Takes what is sent into a lost link.
    unread: Option<UnixStream>,
    decoder: Decoder<ToHost>,
    buffered: Vec<u8>,
    pub execs: BTreeMap<ExecId, Seen>,
    pub replies: Vec<FileReply>,
    /// What it said of the end of all commands.
    pub quiet: Option<bool>,
    pub hello: Option<Hello>,
    next: u32,
    /// Confirm what came at once, like a reader that keeps up.
    pub acknowledges: bool,
}

/// A command with a usual environment.
pub fn request(argv: &[&str]) -> ExecRequest {
    ExecRequest {
        id: ExecId(0),
        argv: ByteStrings::new(argv).unwrap(),
        env: ByteStrings::new(["PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"]).unwrap(),
        cwd: GuestPath::new("/").unwrap(),
        tty: None,
        stdin: false,
    }
}

/// A shell script.
pub fn script(text: &str) -> ExecRequest {
    request(&["sh", "-c", text])
}

/// Size of the terminals in these tests.
pub const SIZE: WindowSize = WindowSize {
    rows: 33,
    columns: 77,
    x_pixels: 0,
    y_pixels: 0,
};

impl Client {
    pub fn new(link: UnixStream) -> Self {
        let mut client = Self::silent(link);
        client.send(&ToGuest::Hello(Hello::new(0, [1; 16])));
        client
    }

    /// Has not greeted yet.
    pub fn silent(link: UnixStream) -> Self {
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        link.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            link,
            unread: None,
            decoder: Decoder::new(),
            buffered: Vec::new(),
            execs: BTreeMap::new(),
            replies: Vec::new(),
            quiet: None,
            hello: None,
            next: 1,
            acknowledges: true,
        }
    }

    /// Loses the link, with all that is under way, and goes on over a new one.
    pub fn relink(&mut self, link: UnixStream) {
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        self.link = link;
        self.decoder = Decoder::new();
        self.buffered.clear();
        self.hello = None;
        self.send(&ToGuest::Hello(Hello::new(0, [1; 16])));
        let mut resumes = Vec::new();
        for (exec, seen) in &mut self.execs {
            seen.input.hold();
            seen.input_held = true;
            for (window, stream) in seen.windows.iter_mut().zip([Stream::Stdout, Stream::Stderr]) {
                let (next_offset, consumed_offset) = window.position();
                resumes.push(Resume {
                    exec: *exec,
                    stream,
                    next_offset,
                    consumed_offset,
                });
            }
        }
        for resume in resumes {
            self.send(&ToGuest::Resume(resume));
        }
    }

    /// Loses the link, with no new one yet.
    pub fn lose_link(&mut self) {
        let (nowhere, unread) = UnixStream::pair().unwrap();
        self.link = nowhere;
        self.unread = Some(unread);
    }

    pub fn send(&mut self, message: &ToGuest) {
        let mut frame = Vec::new();
        encode(message, &mut frame).unwrap();
        self.link.write_all(&frame).unwrap();
    }

    /// Raw bytes, which may be no message.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).unwrap();
    }

    /// A command whose request and first input never reach the guest.
    pub fn start_unsent(&mut self) -> ExecId {
        let id = ExecId(self.next);
        self.next += 1;
        self.execs.insert(id, Seen::default());
        self.lose_link();
        id
    }

    /// Asks for a command.
    pub fn start(&mut self, mut request: ExecRequest) -> ExecId {
        request.id = ExecId(self.next);
        self.next += 1;
        self.execs.insert(request.id, Seen::default());
        let id = request.id;
        self.send(&ToGuest::Exec(request));
        id
    }

    /// Runs a command to its end.
    pub fn run(&mut self, request: ExecRequest) -> &Seen {
        let id = self.start(request);
        self.finish(id)
    }

    /// Waits for the end of a command.
    pub fn finish(&mut self, id: ExecId) -> &Seen {
        self.until(|client| client.execs[&id].is_over());
        &self.execs[&id]
    }

    /// What a command has written to standard output when it has written `text`.
    pub fn until_output(&mut self, id: ExecId, text: &str) {
        self.until(|client| {
            let seen = &client.execs[&id];
            let done = String::from_utf8_lossy(&seen.stdout).contains(text);
            assert!(done || !seen.is_over(), "it ended: {}", client.summary());
            done
        });
    }

    /// Waits for something.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert!(self.step(), "the guest closed the link");
        }
    }

    /// Takes one message. False at the end of the link.
    pub fn step(&mut self) -> bool {
        loop {
            let mut input = self.buffered.as_slice();
            let message = self.decoder.next(&mut input).unwrap();
            let rest = input.len();
            self.buffered.drain(..self.buffered.len() - rest);
            if let Some(message) = message {
                self.take(message);
                return true;
            }
            let mut bytes = [0; 16 << 10];
            match self.link.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.buffered.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("no answer of the guest: {error}; seen: {}", self.summary()),
            }
        }
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        for (id, seen) in &self.execs {
            let begin = seen.stdout.len().saturating_sub(500);
            let shown = String::from_utf8_lossy(&seen.stdout[begin..]);
            let failure = seen.failure.as_ref().map(|failure| failure.text.as_str());
            text.push_str(&format!(
                "\n{}: {:?}, {failure:?}, last written: {shown:?}",
                id.0, seen.events
            ));
        }
        text
    }

    fn take(&mut self, message: ToHost) {
        if let ToHost::Hello(hello) = message {
            assert!(self.hello.replace(hello).is_none(), "one greeting a link");
            return;
        }
        assert!(self.hello.is_some(), "the greeting comes first");
        match message {
            ToHost::Hello(_) => {}
            ToHost::Ask(_) => {}
            ToHost::Quiet { all } => assert!(self.quiet.replace(all).is_none(), "it is said once"),
            ToHost::File(reply) => self.replies.push(reply),
            ToHost::Data(data) => self.take_data(data),
            ToHost::Resume(resume) => {
                assert_eq!(resume.stream, Stream::Stdin);
                let seen = self.seen(resume.exec);
                seen.input
                    .resume(resume.next_offset, resume.consumed_offset)
                    .unwrap();
                seen.input_held = false;
                self.pump(resume.exec);
            }
            ToHost::Ack(ack) => {
                self.seen(ack.exec).input.ack(ack.offset).unwrap();
                self.pump(ack.exec);
            }
            ToHost::Eof(eof) => {
                let seen = self.seen(eof.exec);
                seen.windows[index(eof.stream)].eof(eof.offset).unwrap();
                seen.events.push("eof");
            }
            ToHost::Started { exec, pid } => {
                let seen = self.seen(exec);
                if std::mem::take(&mut seen.input_held) {
                    // The command was new to it.
                    seen.input.resume(0, 0).unwrap();
                }
                seen.pid = Some(pid);
                seen.events.push("started");
                self.pump(exec);
            }
            ToHost::ExecFailed(failure) => {
                let seen = self.seen(failure.exec);
                seen.failure = Some(failure);
                seen.events.push("failed");
            }
            ToHost::InputClosed { exec } => self.seen(exec).events.push("input closed"),
            ToHost::Stopped { exec, signal } => {
                assert!(signal > 0);
                self.seen(exec).events.push("stopped");
            }
            ToHost::Continued { exec } => self.seen(exec).events.push("continued"),
            ToHost::Exited { exec, status } => {
                let seen = self.seen(exec);
                seen.status = Some(status);
                seen.events.push("exited");
            }
        }
    }

    fn seen(&mut self, exec: ExecId) -> &mut Seen {
        self.execs.get_mut(&exec).expect("a command that was asked for")
    }

    fn take_data(&mut self, data: Data) {
        let acknowledges = self.acknowledges;
        let seen = self.seen(data.exec);
        assert!(seen.pid.is_some(), "nothing is written before the start");
        let window = &mut seen.windows[index(data.stream)];
        window.data(data.offset, data.bytes.len()).unwrap();
        if acknowledges {
            window.consume(data.bytes.len());
        }
        let ack = window.ack_due();
        let output = if data.stream == Stream::Stdout {
            &mut seen.stdout
        } else {
            &mut seen.stderr
        };
        output.extend(data.bytes);
        if let Some(offset) = ack {
            self.send(&ToGuest::Ack(Ack {
                exec: data.exec,
                stream: data.stream,
                offset,
            }));
        }
    }

    /// Confirms all that was held back.
    pub fn acknowledge(&mut self, exec: ExecId) {
        self.acknowledges = true;
        let seen = self.seen(exec);
        let count = seen.stdout.len();
        seen.windows[0].consume(count);
        if let Some(offset) = seen.windows[0].ack_due() {
            self.send(&ToGuest::Ack(Ack {
                exec,
                stream: Stream::Stdout,
                offset,
            }));
        }
    }

    /// Sends input, as far as there is room; gives what had none.
    pub fn input<'a>(&mut self, exec: ExecId, bytes: &'a [u8]) -> &'a [u8] {
        let taken = self.seen(exec).input.push(bytes);
        self.pump(exec);
        &bytes[taken..]
    }

    /// Sends all input, waiting for room.
    pub fn input_all(&mut self, exec: ExecId, bytes: &[u8]) {
        let mut rest = self.input(exec, bytes);
        while !rest.is_empty() {
            assert!(self.step(), "the guest closed the link");
            rest = self.input(exec, rest);
        }
    }

    /// Ends the input.
    pub fn end_input(&mut self, exec: ExecId) {
        self.seen(exec).input.finish();
        self.pump(exec);
    }

    fn pump(&mut self, exec: ExecId) {
        let stream = Stream::Stdin;
        loop {
            let message = match self.seen(exec).input.next_outgoing() {
                Some(Outgoing::Data(offset, bytes)) => ToGuest::Data(Data {
                    exec,
                    stream,
                    offset,
                    bytes: bytes.to_vec(),
                }),
                Some(Outgoing::Eof(offset)) => ToGuest::Eof(Eof { exec, stream, offset }),
                None => return,
            };
            self.send(&message);
        }
    }

    pub fn signal(&mut self, exec: ExecId, number: u8, whole_group: bool) {
        self.send(&ToGuest::Signal {
            exec,
            number,
            whole_group,
        });
    }

    /// Does something with a file.
    pub fn file(&mut self, path: &str, operation: FileOperation) -> FileResult {
        let id = RequestId(self.next);
        self.next += 1;
        let path = GuestPath::new(path).unwrap();
        self.send(&ToGuest::File(FileRequest { id, path, operation }));
        self.until(|client| client.replies.iter().any(|reply| reply.id == id));
        let at = self.replies.iter().position(|reply| reply.id == id).unwrap();
        self.replies.remove(at).result
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Stdin => panic!("input does not come from the guest"),
    }
}
