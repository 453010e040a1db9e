use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A bus that takes one caller: greets with `greeting`, reads until the call has come, then
/// says `say` and hangs up. Returns its socket and, at the end, the bytes of the calls.
struct FakeBus {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    thread: std::thread::JoinHandle<Vec<u8>>,
}

fn fake_bus(greeting: &'static [u8], say: Vec<u8>) -> FakeBus {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).unwrap();
        assert!(line.starts_with(b"\0AUTH EXTERNAL 3"), "{line:?}");
        stream.write_all(greeting).unwrap();
        if !greeting.starts_with(b"OK ") {
            return Vec::new();
        }
        let expected = b"BEGIN\r\n".len() + hello(1).len() + start_transient_unit(2, "a.scope", 7).len();
        let mut calls = vec![0; expected];
        reader.read_exact(&mut calls).unwrap();
        stream.write_all(&say).unwrap();
        calls
    });
    FakeBus {
        _folder: folder,
        socket,
        thread,
    }
}

impl FakeBus {
    fn call(self) -> (Result<(), String>, Vec<u8>) {
        let result = start_scope(&self.socket, "a.scope", 7, PATIENCE);
        (result, self.thread.join().unwrap())
    }
}

const OK: &[u8] = b"OK 1234deadbeef\r\n";

/// A message from the bus: answer to `serial`, an error if it has a name, with a text.
fn answer(kind: u8, serial: u32, error: Option<(&str, &str)>) -> Vec<u8> {
    let mut body = Writer::default();
    let mut message = Writer::default();
    if let Some((_, text)) = error {
        body.string(text);
    }
    message.bytes.extend([b'l', kind, 1, 1]);
    message.length(body.bytes.len());
    message.u32(99);
    message.array(8, |fields| {
        fields.field(FIELD_REPLY_SERIAL, "u", |value| value.u32(serial));
        if let Some((name, _)) = error {
            fields.field(FIELD_ERROR_NAME, "s", |value| value.string(name));
            fields.field(FIELD_SIGNATURE, "g", |value| value.signature("s"));
        }
        fields.field(7, "s", |value| value.string("org.freedesktop.DBus"));
    });
    message.align(8);
    message.bytes.extend(body.bytes);
    message.bytes
}

#[test]
fn a_scope_is_made_when_systemd_agrees() {
    let mut say = answer(METHOD_RETURN, 1, None);
    say.extend(answer(4, 0, None)); // a signal in between
    say.extend(answer(METHOD_RETURN, 2, None));
    let (result, calls) = fake_bus(OK, say).call();
    assert_eq!(result, Ok(()));
    assert!(calls.starts_with(b"BEGIN\r\nl\x01\x00\x01"));
}

#[test]
fn an_error_is_told_in_systemds_words() {
    let mut say = answer(METHOD_RETURN, 1, None);
    say.extend(answer(
        ERROR,
        2,
        Some((
            "org.freedesktop.systemd1.UnitExists",
            "Unit a.scope already exists.",
        )),
    ));
    let (result, _) = fake_bus(OK, say).call();
    let text = result.unwrap_err();
    assert!(
        text.ends_with("Unit a.scope already exists. (org.freedesktop.systemd1.UnitExists)"),
        "{text}"
    );
}

#[test]
fn an_answer_to_another_call_is_not_taken_for_ours() {
    let (result, _) = fake_bus(OK, answer(METHOD_RETURN, 1, None)).call();
    assert!(result.unwrap_err().ends_with("the bus closed the connection"));
}

#[test]
fn a_bus_that_rejects_the_user_is_told() {
    let (result, _) = fake_bus(b"REJECTED EXTERNAL\r\n", Vec::new()).call();
    assert!(result.unwrap_err().contains("does not accept this user"));
}

#[test]
fn a_bus_that_hangs_up_or_talks_nonsense_ends_in_an_error() {
    assert!(fake_bus(b"", Vec::new()).call().0.is_err());
    assert!(fake_bus(OK, Vec::new()).call().0.is_err());
    assert!(fake_bus(OK, vec![b'l'; 64]).call().0.is_err());
    assert!(fake_bus(OK, vec![0xff; 64]).call().0.is_err());
    let mut endless = answer(METHOD_RETURN, 2, None);
    endless[12] = 0xff; // a length of the fields beyond the message
    assert!(fake_bus(OK, endless).call().0.is_err());
}

#[test]
fn a_silent_bus_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let _listener = UnixListener::bind(&socket).unwrap();
    let result = start_scope(&socket, "a.scope", 7, Duration::from_millis(50));
    assert!(result.unwrap_err().ends_with("no answer in time"));
}

#[test]
fn a_missing_bus_is_told_with_its_path() {
    let result = start_scope(Path::new("/nonexistent/bus"), "a.scope", 7, PATIENCE);
    assert!(result.unwrap_err().starts_with("/nonexistent/bus: "));
}

#[test]
fn no_prefix_or_bit_flip_of_an_answer_makes_the_parser_panic() {
    let whole = answer(ERROR, 2, Some(("a.b.C", "text")));
    for end in 16..whole.len() {
        let _ = Answer::parse(&whole[..end]);
    }
    for bit in 0..whole.len() * 8 {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let _ = Answer::parse(&bent);
    }
}

/// The call as a real systemd 252 took it (checked in a virtual machine). Values are aligned as
/// the specification says; a change of any byte is a change to look at.
#[test]
fn the_call_has_the_bytes_that_systemd_accepted() {
    let bytes = start_transient_unit(2, "stockade-1.scope", 1);
    let body_length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let fields_length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    assert_eq!(
        bytes.len(),
        (16 + fields_length).next_multiple_of(8) + body_length
    );
    let printable: String = bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii_graphic() {
                *byte as char
            } else {
                '.'
            }
        })
        .collect();
    let expected = concat!(
        "l.................o...../org/freedesktop/systemd1.........s.....org.freedesktop.syst",
        "emd1.Manager..........s.....StartTransientUnit........s.....org.freedesktop.systemd1",
        "..........g..ssa(sv)a(sa(sv)).......stockade-1.scope........fail............Descript",
        "ion..s......Stockade.sandbox............PIDs..au................Delegate..b.........",
        "....CollectMode..s......inactive-or-failed..........TasksMax..t.................",
    );
    assert_eq!(printable, expected);
}
