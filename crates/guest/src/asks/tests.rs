use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use stockade_wire::{Asked, AskedCheckpoint};

use super::*;

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn listening() -> (tempfile::TempDir, Asks) {
    let place = tempfile::tempdir().unwrap();
    let asks = Asks::listen(place.path()).unwrap();
    (place, asks)
}

fn write(place: &tempfile::TempDir, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut pipe = options.write(true).open(place.path().join(REQUESTS)).unwrap();
    pipe.write_all(bytes).unwrap();
}

fn request(token: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    let what = Asked::List;
    encode(
        &Request {
            token: [token; 8],
            what,
        },
        &mut frame,
    )
    .unwrap();
    frame
}

/// Reads until something was asked.
fn until_asked(asks: &mut Asks) -> Vec<Ask> {
    let began = Instant::now();
    loop {
        asks.read(&mut [0; 4096], true);
        let asked = asks.take_waiting();
        if !asked.is_empty() {
            return asked;
        }
        assert!(began.elapsed() < PATIENCE, "nothing was asked");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_ask_gets_its_own_answer() {
    let (place, mut asks) = listening();
    let path = place.path().to_owned();
    let client = std::thread::spawn(move || {
        ask(
            &path,
            Asked::Checkpoint {
                name: Some("a".into()),
            },
        )
    });
    let asked = until_asked(&mut asks);
    let [
        Ask {
            id,
            what: Asked::Checkpoint { name },
        },
    ] = &asked[..]
    else {
        panic!("{asked:?}")
    };
    assert_eq!(name.as_deref(), Some("a"));
    let answer = Answer::Taken(AskedCheckpoint {
        number: 7,
        name: None,
        age_s: 0,
    });
    asks.answer(AskId(99), &Answer::Refused("another's".into()));
    asks.answer(*id, &answer);
    assert_eq!(client.join().unwrap().unwrap(), answer);
    assert_eq!(
        place.path().read_dir().unwrap().count(),
        1,
        "the pipe of the answer is gone"
    );
}

#[test]
fn junk_is_thrown_away_and_the_next_request_is_heard() {
    let (place, mut asks) = listening();
    // What is no frame, what is cut, and what is a frame of something else.
    for junk in [&[0xff; 64][..], &[9, 0, 0], &[9, 0, 0, 0, 1], &[1, 0, 0, 0, 9]] {
        // Read at once with it, or before it.
        for at_once in [true, false] {
            if !at_once {
                write(&place, junk);
                asks.read(&mut [0; 4096], true);
                assert_eq!(asks.take_waiting(), []);
            }
            write(&place, &[junk, &request(1)].concat());
            assert_eq!(until_asked(&mut asks).len(), 1, "{junk:?}");
            asks.forget_all();
        }
    }
}

#[test]
fn a_request_that_a_full_buffer_cuts_is_heard() {
    let (place, mut asks) = listening();
    write(&place, &request(1));
    asks.read(&mut [0; 5], true);
    assert_eq!(asks.take_waiting(), []);
    assert_eq!(until_asked(&mut asks).len(), 1);
}

#[test]
fn no_more_is_asked_at_once_than_may_be() {
    let (place, mut asks) = listening();
    for token in 0..20 {
        write(&place, &request(token));
    }
    asks.read(&mut [0; 4096], true);
    assert_eq!(asks.take_waiting().len(), MAX_ASKS);
    assert!(asks.wanted().is_none());
    // One that is answered makes room for the next.
    asks.answer(AskId(0), &Answer::Refused("x".into()));
    assert_eq!(asks.take_waiting().len(), 1);
    asks.forget_all();
    assert!(asks.wanted().is_some());
}

#[test]
fn an_answer_goes_to_pipes_only() {
    let (place, asks) = listening();
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, "canary").unwrap();
    let name = place.path().join(answer_name([1; 8]));
    let answer = Answer::Refused("x".into());
    std::fs::hard_link(&canary, &name).unwrap();
    asks.reply([1; 8], &answer);
    std::fs::remove_file(&name).unwrap();
    std::os::unix::fs::symlink(&canary, &name).unwrap();
    asks.reply([1; 8], &answer);
    assert_eq!(std::fs::read(&canary).unwrap(), b"canary");
    // The control: a pipe gets it.
    std::fs::remove_file(&name).unwrap();
    make_pipe(&asks.directory, &answer_name([1; 8])).unwrap();
    let pipe = open_pipe(&asks.directory, &answer_name([1; 8]), OFlags::RDWR).unwrap();
    asks.reply([1; 8], &answer);
    assert!(rustix::io::read(&pipe, &mut [0; 64]).unwrap() > 0);
}

proptest! {
    #[test]
    fn whatever_is_written_ends_nothing(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..20)) {
        let (place, mut asks) = listening();
        for piece in &pieces {
            write(&place, piece);
            asks.read(&mut [0; 4096], true);
            prop_assert!(asks.take_waiting().len() <= MAX_ASKS);
        }
        asks.forget_all();
    }
}
