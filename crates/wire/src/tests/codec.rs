//! Frames: whole, cut, broken, hostile.

use proptest::collection::vec;
use proptest::prelude::*;

use super::messages::{answer, asked, to_guest, to_host};
use crate::limits::{CHUNK, MAX_ENTRIES, MAX_FRAME, MAX_FRAME_TO_HOST};
use crate::*;

fn frame<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

/// Feeds `bytes` in pieces and collects the messages.
fn decode_in_pieces<M: Message>(bytes: &[u8], cuts: &[usize]) -> Result<Vec<M>, WireError> {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = (*cuts.next().unwrap_or(&usize::MAX)).clamp(1, rest.len());
        let (mut piece, later) = rest.split_at(size);
        rest = later;
        while let Some(message) = decoder.next(&mut piece)? {
            messages.push(message);
        }
        assert!(piece.is_empty(), "None means that all was taken");
    }
    assert!(decoder.is_between_messages());
    Ok(messages)
}

fn raw_frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

proptest! {
    // What is encoded is decoded, however the bytes are cut on the way.
    #[test]
    fn guest_messages_round_trip(messages in vec(to_guest(), 1..8), cuts in vec(1..700_usize, 1..6)) {
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        prop_assert_eq!(decode_in_pieces::<ToGuest>(&bytes, &cuts).unwrap(), messages);
    }

    #[test]
    fn host_messages_round_trip(messages in vec(to_host(), 1..8), cuts in vec(1..700_usize, 1..6)) {
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        prop_assert_eq!(decode_in_pieces::<ToHost>(&bytes, &cuts).unwrap(), messages);
    }

    // A stream that ends early gives no message and says that it was cut.
    #[test]
    fn truncation_gives_no_message(message in to_host(), cut in any::<prop::sample::Index>()) {
        let bytes = frame(&message);
        let mut part = &bytes[..cut.index(bytes.len())];
        let empty = part.is_empty();
        let mut decoder = Decoder::<ToHost>::new();
        prop_assert_eq!(decoder.next(&mut part), Ok(None));
        prop_assert_eq!(decoder.is_between_messages(), empty);
    }

    // A frame that is shorter than its message is an error, not a wait.
    #[test]
    fn short_frame_is_an_error(message in to_host(), cut in any::<prop::sample::Index>()) {
        let whole = frame(&message);
        let body = &whole[4..];
        let bytes = raw_frame(&body[..cut.index(body.len())]);
        prop_assert!(Decoder::<ToHost>::new().next(&mut bytes.as_slice()).is_err());
    }

    // Arbitrary bytes never panic, and what they decode to can be encoded again.
    #[test]
    fn arbitrary_bytes_are_harmless(body in vec(any::<u8>(), 0..2000), cut in 1..50_usize) {
        let bytes = raw_frame(&body);
        if let Ok(messages) = decode_in_pieces::<ToHost>(&bytes, &[cut]) {
            for message in messages {
                frame(&message);
            }
        }
        let _ = Decoder::<ToGuest>::new().next(&mut body.as_slice());
    }

    // The encoder without a copy says the same as the ordinary one, in both directions.
    #[test]
    fn borrowed_data_equals_owned(exec: u32, offset: u64, bytes in vec(any::<u8>(), 1..500)) {
        let (exec, stream) = (ExecId(exec), Stream::Stdout);
        let mut borrowed = Vec::new();
        encode_data(exec, stream, offset, &bytes, &mut borrowed).unwrap();
        let data = Data { exec, stream, offset, bytes };
        prop_assert_eq!(&frame(&ToHost::Data(data.clone())), &borrowed);
        prop_assert_eq!(&frame(&ToGuest::Data(data)), &borrowed);
    }
}

// A length beyond the bound fails as soon as it is seen, and for ever.
#[test]
fn long_frame_is_refused_from_its_length() {
    let mut decoder = Decoder::<ToHost>::new();
    let prefix = u32::try_from(MAX_FRAME_TO_HOST + 1).unwrap().to_le_bytes();
    let refused = Err(WireError::FrameTooLong {
        length: MAX_FRAME_TO_HOST + 1,
        limit: MAX_FRAME_TO_HOST,
    });
    assert_eq!(decoder.next(&mut prefix.as_slice()), refused);
    assert_eq!(
        decoder.next(&mut frame(&ToHost::Continued { exec: ExecId(1) }).as_slice()),
        refused
    );
}

// Control of the above: a frame of exactly the bound is waited for.
#[test]
fn longest_frame_is_waited_for() {
    let prefix = u32::try_from(MAX_FRAME).unwrap().to_le_bytes();
    assert_eq!(Decoder::<ToGuest>::new().next(&mut prefix.as_slice()), Ok(None));
}

// Announced lists that are not there cost nothing.
#[test]
fn announced_list_is_not_allocated() {
    let reply = FileReply {
        id: RequestId(1),
        result: Ok(FileAnswer::Entries {
            entries: Vec::new(),
            more: false,
        }),
    };
    let whole = frame(&ToHost::File(reply));
    let mut body = whole[4..].to_vec();
    let count = body.len() - 2;
    assert_eq!(body[count], 0, "the count of entries stands before the last byte");
    body.splice(count..=count, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(
        Decoder::<ToHost>::new()
            .next(&mut raw_frame(&body).as_slice())
            .is_err()
    );
}

// One entry more than the bound is refused; the bound itself passes.
#[test]
fn entries_are_bounded() {
    let list = |count| {
        let entry = DirectoryEntry {
            name: b"name".to_vec(),
            kind: FileKind::Regular,
        };
        let entries = vec![entry; count];
        ToHost::File(FileReply {
            id: RequestId(1),
            result: Ok(FileAnswer::Entries { entries, more: false }),
        })
    };
    let decode = |message| Decoder::<ToHost>::new().next(&mut frame(&message).as_slice());
    assert!(decode(list(MAX_ENTRIES)).is_ok());
    assert!(decode(list(MAX_ENTRIES + 1)).is_err());
}

// Names that lead out of a directory do not come through.
#[test]
fn entry_names_stay_in_their_directory() {
    for (name, valid) in [
        ("a", true),
        ("..a", true),
        ("", false),
        (".", false),
        ("..", false),
        ("a/b", false),
        ("a\0", false),
    ] {
        let entry = DirectoryEntry {
            name: name.into(),
            kind: FileKind::Regular,
        };
        let result = Ok(FileAnswer::Entries {
            entries: vec![entry],
            more: false,
        });
        let message = ToHost::File(FileReply {
            id: RequestId(1),
            result,
        });
        assert_eq!(encode(&message, &mut Vec::new()).is_ok(), valid, "{name:?}");
    }
}

// A chunk passes, one byte more does not, none does not.
#[test]
fn chunks_are_bounded() {
    for (length, valid) in [(CHUNK, true), (CHUNK + 1, false), (0, false)] {
        let bytes = vec![7; length];
        let data = Data {
            exec: ExecId(1),
            stream: Stream::Stdout,
            offset: 0,
            bytes,
        };
        assert_eq!(
            encode_data(data.exec, data.stream, 0, &data.bytes, &mut Vec::new()).is_ok(),
            valid
        );
        assert_eq!(encode(&ToHost::Data(data), &mut Vec::new()).is_ok(), valid);
    }
}

// A failing encode leaves what was there.
#[test]
fn failed_encode_leaves_the_output_alone() {
    let mut out = vec![1, 2, 3];
    let text = "x".repeat(limits::MAX_TEXT + 1);
    let failure = ExecFailure {
        exec: ExecId(1),
        kind: FailureKind::Other,
        errno: 0,
        text,
    };
    assert!(encode(&ToHost::ExecFailed(failure), &mut out).is_err());
    assert_eq!(out, [1, 2, 3]);
}

// The largest command that the guest takes fits a frame; a larger one cannot be made.
#[test]
fn largest_command_fits() {
    let long = vec![b'x'; limits::MAX_ARGUMENT_BYTES - 1];
    let mut argv = ByteStrings::new([&long]).unwrap();
    assert!(argv.push(b"").is_err());
    let request = ExecRequest {
        id: ExecId(1),
        argv,
        env: ByteStrings::default(),
        cwd: GuestPath::new(vec![b'/'; limits::MAX_PATH]).unwrap(),
        tty: None,
        stdin: true,
    };
    assert!(encode(&ToGuest::Exec(request), &mut Vec::new()).is_ok());
}

// Strings with a NUL would end early inside; paths must be absolute.
#[test]
fn strings_and_paths_are_checked() {
    assert!(ByteStrings::new(["a\0b"]).is_err());
    assert_eq!(
        ByteStrings::new(["a", "", "b"])
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [&b"a"[..], b"", b"b"]
    );
    assert!(GuestPath::new("/a").is_ok());
    for path in ["", "a", "/a\0"] {
        assert!(GuestPath::new(path).is_err(), "{path:?}");
    }
}

// Versions that differ are told apart, with both numbers.
#[test]
fn versions_are_compared() {
    let ours = Hello::new(0, [0; 16]);
    assert_eq!(ours.check(), Ok(()));
    let theirs = Hello {
        version: ours.version + 1,
        ..ours
    };
    assert_eq!(
        theirs.check(),
        Err(WireError::Version {
            ours: ours.version,
            theirs: ours.version + 1
        })
    );
}

#[test]
fn an_answer_is_one_write_into_a_pipe_and_names_drive_no_terminal() {
    let one = |name: String| AskedCheckpoint {
        number: u64::MAX,
        name: Some(name),
        age_s: u64::MAX,
    };
    let all = vec![one("n".repeat(MAX_ASKED_NAME)); MAX_LISTED];
    let mut frame = Vec::new();
    encode(&Answer::Listed(all), &mut frame).unwrap();
    assert!(frame.len() <= 4096, "{}", frame.len());
    for name in ["", "a\u{1b}[2J", "a\nb", &"n".repeat(MAX_ASKED_NAME + 1)] {
        let what = Asked::Checkpoint {
            name: Some(name.to_owned()),
        };
        let request = Request { token: [0; 8], what };
        assert!(encode(&request, &mut Vec::new()).is_err(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn requests_and_answers_come_back(token in any::<[u8; 8]>(), what in asked(), answer in answer()) {
        let request = Request { token, what };
        let mut bytes = Vec::new();
        encode(&request, &mut bytes).unwrap();
        prop_assert_eq!(Decoder::default().next(&mut &bytes[..]).unwrap(), Some(request));
        let mut bytes = Vec::new();
        encode(&answer, &mut bytes).unwrap();
        prop_assert_eq!(Decoder::default().next(&mut &bytes[..]).unwrap(), Some(answer));
    }
}
