//! One stream over a link that drops: every byte once and in order, within the bounds.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::limits::WINDOW;
use crate::*;

/// What travels for one stream.
#[derive(Debug)]
enum Packet {
    Data(u64, Vec<u8>),
    Eof(u64),
    Ack(u64),
    Resume(u64, u64),
}

/// Both ends of one stream with a link between them.
#[derive(Default)]
struct Pair {
    sender: SendBuffer,
    receiver: RecvWindow,
    forward: VecDeque<Packet>,
    backward: VecDeque<Packet>,
    produced: u64,
    unread: VecDeque<u8>,
    read: u64,
}

/// A step of the world.
#[derive(Clone, Debug)]
enum Step {
    Produce(usize),
    Finish,
    Send,
    Deliver(usize),
    DeliverBack(usize),
    Read(usize),
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..200_000_usize).prop_map(Step::Produce),
        1 => Just(Step::Finish),
        6 => Just(Step::Send),
        6 => (1..8_usize).prop_map(Step::Deliver),
        6 => (1..8_usize).prop_map(Step::DeliverBack),
        6 => (1..300_000_usize).prop_map(Step::Read),
        2 => Just(Step::Drop),
    ]
}

/// The byte at a position of the stream; its period shares no factor with any chunk.
fn byte_at(position: u64) -> u8 {
    (position % 251) as u8
}

impl Pair {
    fn run(&mut self, step: &Step) {
        match step {
            Step::Produce(count) => self.produce(*count),
            Step::Finish => self.sender.finish(),
            Step::Send => self.send(),
            Step::Deliver(count) => self.deliver(*count),
            Step::DeliverBack(count) => self.deliver_back(*count),
            Step::Read(count) => self.read(*count),
            Step::Drop => self.drop_link(),
        }
        assert!(self.unread.len() <= WINDOW, "the receiver keeps a window at most");
        assert!(self.sender.room() <= WINDOW);
    }

    fn produce(&mut self, count: usize) {
        let bytes: Vec<u8> = (self.produced..).take(count).map(byte_at).collect();
        let room = self.sender.room();
        let taken = self.sender.push(&bytes);
        assert_eq!(taken, count.min(room));
        self.produced += taken as u64;
    }

    fn send(&mut self) {
        let packet = match self.sender.next_outgoing() {
            Some(Outgoing::Data(offset, bytes)) => Packet::Data(offset, bytes.to_vec()),
            Some(Outgoing::Eof(offset)) => Packet::Eof(offset),
            None => return,
        };
        self.forward.push_back(packet);
    }

    fn deliver(&mut self, count: usize) {
        for packet in self.forward.drain(..count.min(self.forward.len())) {
            match packet {
                Packet::Data(offset, bytes) => {
                    self.receiver.data(offset, bytes.len()).unwrap();
                    self.unread.extend(bytes);
                }
                Packet::Eof(offset) => self.receiver.eof(offset).unwrap(),
                Packet::Ack(_) | Packet::Resume(..) => unreachable!(),
            }
        }
    }

    fn deliver_back(&mut self, count: usize) {
        for packet in self.backward.drain(..count.min(self.backward.len())) {
            match packet {
                Packet::Ack(offset) => self.sender.ack(offset).unwrap(),
                Packet::Resume(next, consumed) => self.sender.resume(next, consumed).unwrap(),
                Packet::Data(..) | Packet::Eof(_) => unreachable!(),
            }
        }
    }

    fn read(&mut self, count: usize) {
        let count = count.min(self.unread.len());
        for byte in self.unread.drain(..count) {
            assert_eq!(byte, byte_at(self.read), "at {}", self.read);
            self.read += 1;
        }
        self.receiver.consume(count);
        if let Some(offset) = self.receiver.ack_due() {
            self.backward.push_back(Packet::Ack(offset));
        }
    }

    /// All that is under way is lost; a new link stands at once.
    fn drop_link(&mut self) {
        self.forward.clear();
        self.backward.clear();
        self.sender.hold();
        let (next, consumed) = self.receiver.position();
        self.backward.push_back(Packet::Resume(next, consumed));
    }

    /// No more drops: everything must arrive.
    fn settle(&mut self) {
        self.sender.finish();
        for _ in 0..10_000 {
            self.run(&Step::DeliverBack(usize::MAX));
            self.run(&Step::Send);
            self.run(&Step::Deliver(usize::MAX));
            self.run(&Step::Read(usize::MAX));
            if self.sender.is_done() && self.receiver.is_ended() {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // Whatever is lost with dropped links, the stream arrives whole, once and in order.
    #[test]
    fn stream_survives_drops(steps in vec(step(), 0..300)) {
        let mut pair = Pair::default();
        for step in &steps {
            pair.run(step);
        }
        pair.settle();
        prop_assert!(pair.receiver.is_ended());
        prop_assert_eq!(pair.read, pair.produced);
    }

    // Hostile offsets are errors and break no bound.
    #[test]
    fn hostile_offsets_are_errors(offsets in vec((any::<u64>(), any::<u64>()), 1..50)) {
        let mut sender = SendBuffer::new();
        let mut receiver = RecvWindow::new();
        sender.push(b"some bytes");
        for (first, second) in offsets {
            let _ = sender.ack(first);
            let _ = sender.resume(first, second);
            let _ = receiver.data(first, second as usize);
            let _ = receiver.eof(second);
            prop_assert!(sender.room() <= WINDOW);
            prop_assert!(receiver.position().0 <= WINDOW as u64);
        }
    }
}

// Without confirmation exactly one window is taken; with it, as much again.
#[test]
fn window_bounds_the_sender() {
    let mut sender = SendBuffer::new();
    let bytes = vec![1; WINDOW + 5];
    assert_eq!(sender.push(&bytes), WINDOW);
    assert_eq!(sender.push(&bytes), 0);
    while sender.next_outgoing().is_some() {}
    sender.ack(5).unwrap();
    assert_eq!(sender.push(&bytes), 5);
}

// A sender that ignores the window is caught.
#[test]
fn window_bounds_the_receiver() {
    let mut receiver = RecvWindow::new();
    receiver.data(0, WINDOW).unwrap();
    assert!(receiver.data(WINDOW as u64, 1).is_err());
    receiver.consume(1);
    receiver.data(WINDOW as u64, 1).unwrap();
}

// Gaps, repetitions and bytes after the end are errors; the same end again is none.
#[test]
fn receiver_checks_order() {
    let mut receiver = RecvWindow::new();
    receiver.data(0, 10).unwrap();
    assert!(receiver.data(0, 10).is_err());
    assert!(receiver.data(11, 1).is_err());
    assert!(receiver.eof(11).is_err());
    receiver.eof(10).unwrap();
    receiver.eof(10).unwrap();
    assert!(receiver.data(10, 1).is_err());
}

// Nothing is sent on a new link before the other side said where to go on.
#[test]
fn held_stream_is_silent() {
    let mut sender = SendBuffer::new();
    sender.push(b"abc");
    sender.finish();
    while sender.next_outgoing().is_some() {}
    assert!(sender.is_done());
    sender.hold();
    assert_eq!(sender.next_outgoing(), None);
    assert!(!sender.is_done());
    sender.resume(1, 0).unwrap();
    assert_eq!(sender.next_outgoing(), Some(Outgoing::Data(1, b"bc")));
    assert_eq!(sender.next_outgoing(), Some(Outgoing::Eof(3)));
    assert_eq!(sender.next_outgoing(), None);
}

// Positions that were never sent, or were given up, are errors.
#[test]
fn sender_checks_positions() {
    let mut sender = SendBuffer::new();
    sender.push(b"abcdef");
    assert!(sender.ack(1).is_err(), "not sent yet");
    while sender.next_outgoing().is_some() {}
    sender.ack(3).unwrap();
    sender.ack(1).unwrap();
    assert!(sender.resume(2, 0).is_err(), "given up");
    assert!(sender.resume(7, 0).is_err(), "never sent");
    assert!(sender.resume(4, 5).is_err(), "consumed more than received");
    sender.resume(4, 4).unwrap();
}
