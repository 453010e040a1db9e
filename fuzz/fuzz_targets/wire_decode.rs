//! Bytes from a hostile guest (and, less likely, from a hostile host): they decode or are
//! an error, whatever their cut. What was decoded can be encoded, and decodes to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_wire::{Answer, Decoder, Message, Request, ToGuest, ToHost, encode};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    check::<ToHost>(cut, bytes);
    check::<ToGuest>(cut, bytes);
    // From commands inside, and back to them.
    check::<Request>(cut, bytes);
    check::<Answer>(cut, bytes);
});

fn check<M: Message + PartialEq + std::fmt::Debug>(cut: u8, bytes: &[u8]) {
    let whole = decode::<M>(bytes.len().max(1), bytes);
    let pieces = decode::<M>(usize::from(cut).max(1), bytes);
    assert_eq!(whole, pieces, "how the bytes are cut makes no difference");
    for message in whole.0 {
        let mut frame = Vec::new();
        encode(&message, &mut frame).expect("what was decoded is valid");
        let (again, failed) = decode::<M>(frame.len(), &frame);
        assert!(!failed);
        assert_eq!(again, [message]);
    }
}

/// All messages before the first error, and whether there was one.
fn decode<M: Message>(piece: usize, bytes: &[u8]) -> (Vec<M>, bool) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for mut part in bytes.chunks(piece) {
        loop {
            match decoder.next(&mut part) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}
