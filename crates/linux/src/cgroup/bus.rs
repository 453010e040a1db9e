//! One call to the user's systemd over D-Bus: make a delegated scope around this process.
//!
//! Made by hand, and no more than this call needs (the specification's marshalling of a method
//! call, and enough of a reply to tell success from an error). The ready-made clients cost
//! 86 crates (zbus), need a C library (dbus), or spin for ever when the other side hangs up and
//! panic on an odd greeting (rustbus 0.19); starting busctl takes longer than the call.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest message taken from the bus.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Messages to look at before giving up: a bus greets with a few signals.
const MAX_MESSAGES: usize = 64;
/// Longest line of the greeting.
const MAX_LINE_BYTES: usize = 1024;

/// Kinds of message.
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Codes of header fields.
const FIELD_PATH: u8 = 1;
const FIELD_INTERFACE: u8 = 2;
const FIELD_MEMBER: u8 = 3;
const FIELD_ERROR_NAME: u8 = 4;
const FIELD_REPLY_SERIAL: u8 = 5;
const FIELD_DESTINATION: u8 = 6;
const FIELD_SIGNATURE: u8 = 8;

/// Asks the systemd behind the bus at `socket` for the scope `name` around the process `pid`.
/// When this returns systemd has agreed to make it; it may not be there yet.
pub(super) fn start_scope(socket: &Path, name: &str, pid: u32, patience: Duration) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", socket.display());
    let stream = UnixStream::connect(socket).map_err(|error| at(&error))?;
    let mut bus = Bus {
        stream,
        deadline: Instant::now() + patience,
    };
    bus.greet().map_err(|error| at(&error))?;
    let mut bytes = b"BEGIN\r\n".to_vec();
    bytes.extend(hello(1));
    bytes.extend(start_transient_unit(2, name, pid));
    bus.send(&bytes).map_err(|error| at(&error))?;
    bus.answer_to(2).map_err(|error| at(&error))
}

struct Bus {
    stream: UnixStream,
    deadline: Instant,
}

impl Bus {
    /// Proves who we are: the kernel tells the bus our user id, we only name it.
    fn greet(&mut self) -> Result<(), String> {
        let uid = rustix::process::getuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.send(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let line = self.line()?;
        if line.starts_with("OK ") {
            Ok(())
        } else {
            Err(format!("the bus does not accept this user: {line:?}"))
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let left = self.time_left()?;
        self.stream
            .set_write_timeout(Some(left))
            .map_err(|error| error.to_string())?;
        self.stream.write_all(bytes).map_err(|error| told(&error))
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let left = self.time_left()?;
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|error| error.to_string())?;
            match self.stream.read(rest) {
                Ok(0) => return Err("the bus closed the connection".to_owned()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(())
    }

    fn time_left(&self) -> Result<Duration, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err("no answer in time".to_owned())
        } else {
            Ok(left)
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.receive(&mut byte)?;
            line.extend(byte);
            if line.len() > MAX_LINE_BYTES {
                return Err("an endless greeting".to_owned());
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Waits for the answer to the call `serial`; signals and other answers are passed over.
    fn answer_to(&mut self, serial: u32) -> Result<(), String> {
        for _ in 0..MAX_MESSAGES {
            let message = self.message()?;
            let answer = Answer::parse(&message).ok_or("a message that is not D-Bus")?;
            match answer.kind {
                METHOD_RETURN if answer.to == Some(serial) => return Ok(()),
                // An error to the greeting call means that the other will not be served.
                ERROR => return Err(format!("{} ({})", answer.text, answer.error)),
                _ => {}
            }
        }
        Err("no answer among many messages".to_owned())
    }

    fn message(&mut self) -> Result<Vec<u8>, String> {
        let mut message = vec![0; 16];
        self.receive(&mut message)?;
        let odd = "a message that is not D-Bus";
        let mut head = Reader {
            bytes: &message,
            at: 0,
        };
        if head.byte() != Some(b'l') {
            return Err("messages in another byte order".to_owned());
        }
        head.at = 4;
        let body = head.u32().ok_or(odd)? as usize;
        head.at = 12;
        let fields = head.u32().ok_or(odd)? as usize;
        if body > MAX_MESSAGE_BYTES || fields > MAX_MESSAGE_BYTES {
            return Err("a message longer than 1 MiB".to_owned());
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        self.receive(&mut rest)?;
        message.extend(rest);
        Ok(message)
    }
}

fn told(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// The call that every connection starts with.
fn hello(serial: u32) -> Vec<u8> {
    let bus = "org.freedesktop.DBus";
    method_call(
        serial,
        ["/org/freedesktop/DBus", bus, "Hello", bus],
        "",
        Writer::default(),
    )
}

/// `StartTransientUnit(name, mode, properties, auxiliary units)`.
fn start_transient_unit(serial: u32, name: &str, pid: u32) -> Vec<u8> {
    let mut body = Writer::default();
    body.string(name);
    body.string("fail");
    body.array(8, |properties| {
        properties.property("Description", "s", |value| value.string("Stockade sandbox"));
        properties.property("PIDs", "au", |value| value.array(4, |pids| pids.u32(pid)));
        properties.property("Delegate", "b", |value| value.u32(1));
        // Gone with its last process, even if that failed.
        properties.property("CollectMode", "s", |value| value.string("inactive-or-failed"));
        // The limit on processes is set by us, on the group of each sandbox.
        properties.property("TasksMax", "t", |value| value.u64(u64::MAX));
    });
    body.array(8, |_| {});
    let manager = "org.freedesktop.systemd1.Manager";
    let address = [
        "/org/freedesktop/systemd1",
        manager,
        "StartTransientUnit",
        "org.freedesktop.systemd1",
    ];
    method_call(serial, address, "ssa(sv)a(sa(sv))", body)
}

/// A method call with `[path, interface, member, destination]`.
fn method_call(serial: u32, address: [&str; 4], signature: &str, body: Writer) -> Vec<u8> {
    let [path, interface, member, destination] = address;
    let mut message = Writer::default();
    message.bytes.extend([b'l', METHOD_CALL, 0, 1]);
    message.length(body.bytes.len());
    message.u32(serial);
    message.array(8, |fields| {
        fields.field(FIELD_PATH, "o", |value| value.string(path));
        fields.field(FIELD_INTERFACE, "s", |value| value.string(interface));
        fields.field(FIELD_MEMBER, "s", |value| value.string(member));
        fields.field(FIELD_DESTINATION, "s", |value| value.string(destination));
        if !signature.is_empty() {
            fields.field(FIELD_SIGNATURE, "g", |value| value.signature(signature));
        }
    });
    message.align(8);
    message.bytes.extend(body.bytes);
    message.bytes
}

/// Writes values with D-Bus's alignment, little-endian. Bodies start at a multiple of 8, so
/// that alignment can be counted from the start of either part.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    /// Lengths here are those of our own few strings.
    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn string(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }

    /// An array whose length, without the padding before its first element, goes in front.
    fn array(&mut self, element_alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(element_alignment);
        let start = self.bytes.len();
        fill(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn field(&mut self, code: u8, signature: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.bytes.push(code);
        self.signature(signature);
        value(self);
    }

    fn property(&mut self, name: &str, signature: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        value(self);
    }
}

/// What matters of a message that came in.
struct Answer {
    kind: u8,
    to: Option<u32>,
    error: String,
    text: String,
}

impl Answer {
    fn parse(message: &[u8]) -> Option<Self> {
        let mut reader = Reader {
            bytes: message,
            at: 1,
        };
        let mut answer = Self {
            kind: reader.byte()?,
            to: None,
            error: String::new(),
            text: String::new(),
        };
        let mut signature = String::new();
        reader.at = 12;
        let end = 16 + reader.u32()? as usize;
        while reader.at < end {
            reader.align(8);
            let code = reader.byte()?;
            let kind = reader.signature()?;
            let value = match kind.as_str() {
                "s" | "o" => Value::Text(reader.string()?),
                "g" => Value::Text(reader.signature()?),
                "u" => Value::Number(reader.u32()?),
                _ => return None,
            };
            match (code, value) {
                (FIELD_REPLY_SERIAL, Value::Number(serial)) => answer.to = Some(serial),
                (FIELD_ERROR_NAME, Value::Text(name)) => answer.error = name,
                (FIELD_SIGNATURE, Value::Text(found)) => signature = found,
                _ => {}
            }
        }
        reader.align(8);
        if answer.kind == ERROR && signature.starts_with('s') {
            answer.text = reader.string()?;
        }
        Some(answer)
    }
}

enum Value {
    Text(String),
    Number(u32),
}

/// Reads values as [`Writer`] writes them; none at the end of the bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests;
