use std::sync::Arc;

use stockade_wire::Stream;

use super::*;
use crate::state::{NewSandbox, SandboxFolder, StateDirs};

struct Logged {
    _place: tempfile::TempDir,
    dirs: Arc<StateDirs>,
    folder: SandboxFolder,
    log: Arc<LogWriter>,
}

fn logged(bytes: u64) -> Logged {
    let place = tempfile::tempdir().unwrap();
    let dirs = Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
    let folder = dirs.create(NewSandbox::default()).unwrap();
    let log = Arc::new(LogWriter::create(folder.dir().again().unwrap(), bytes).unwrap());
    Logged {
        _place: place,
        dirs,
        folder,
        log,
    }
}

impl Logged {
    fn text(&self, wanted: Excerpt) -> String {
        let mut text = Vec::new();
        read(&self.dirs, self.folder.id(), wanted, |record| {
            text.extend(record.bytes);
            Ok(())
        })
        .unwrap();
        String::from_utf8(text).unwrap()
    }

    fn size_on_disk(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .map(|entry| entry.metadata().unwrap().len())
            .sum()
    }
}

fn tail(lines: usize) -> Excerpt {
    Excerpt {
        tail: Some(lines),
        ..Excerpt::default()
    }
}

#[test]
fn what_was_written_is_read_in_order() {
    let logged = logged(DEFAULT_LOG_BYTES);
    logged.log.write(Stream::Stdout, b"one\n");
    logged.log.write(Stream::Stderr, b"two\n");
    assert_eq!(logged.text(Excerpt::default()), "one\ntwo\n");
}

#[test]
fn a_tail_is_cut_at_lines_wherever_records_begin() {
    let logged = logged(DEFAULT_LOG_BYTES);
    for part in [&b"a\nb"[..], b"b\nc\n", b"d\ne"] {
        logged.log.write(Stream::Stdout, part);
    }
    let of = |lines| logged.text(tail(lines));
    assert_eq!([of(0), of(1), of(2), of(3)], ["", "e", "d\ne", "c\nd\ne"]);
    assert_eq!([of(4), of(99)], ["bb\nc\nd\ne", "a\nbb\nc\nd\ne"]);
    logged.log.write(Stream::Stdout, b"\n");
    assert_eq!([of(1), of(2)], ["e\n", "d\ne\n"]);
}

#[test]
fn nothing_before_an_offset_or_a_time_is_read() {
    let logged = logged(DEFAULT_LOG_BYTES);
    logged.log.write(Stream::Stdout, b"abcdef");
    let from = Excerpt {
        from: 4,
        ..Excerpt::default()
    };
    assert_eq!(logged.text(from), "ef");
    let later = Excerpt {
        since_ms: Some(u64::MAX),
        ..Excerpt::default()
    };
    assert_eq!(logged.text(later), "");
}

#[test]
fn a_log_stays_within_its_bound_and_keeps_the_newest() {
    let logged = logged(MIN_LOG_BYTES);
    for index in 0..2000 {
        logged
            .log
            .write(Stream::Stdout, format!("{index:01000}\n").as_bytes());
    }
    assert!(
        logged.size_on_disk() <= MIN_LOG_BYTES + 4096,
        "{}",
        logged.size_on_disk()
    );
    let kept = logged.text(Excerpt::default());
    assert!(kept.len() > 100_000 && kept.ends_with("1999\n"));
}

#[test]
fn a_follower_that_was_too_slow_sees_a_gap_and_then_all() {
    let logged = logged(MIN_LOG_BYTES);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut follower = Follower::new(Arc::clone(&logged.log), 0);
        logged.log.write(Stream::Stdout, b"first");
        assert_eq!(follower.next().await.unwrap().unwrap().bytes, b"first");
        for _ in 0..2000 {
            logged.log.write(Stream::Stdout, &[b'x'; 1000]);
        }
        logged.log.close();
        let mut offset = follower.next().await.unwrap().unwrap().offset;
        assert!(offset > 5, "no gap although much was thrown away");
        while let Some(record) = follower.next().await.unwrap() {
            assert_eq!(record.offset, offset + 1000);
            offset = record.offset;
        }
        assert_eq!(offset + 1000, logged.log.end());
    });
}

#[test]
fn a_follower_waits_for_more() {
    let logged = logged(DEFAULT_LOG_BYTES);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut follower = Follower::new(Arc::clone(&logged.log), 0);
        let writing = async {
            tokio::task::yield_now().await;
            logged.log.write(Stream::Stderr, b"late");
        };
        let (record, ()) = tokio::join!(follower.next(), writing);
        assert_eq!(record.unwrap().unwrap().bytes, b"late");
    });
}

#[test]
fn a_sandbox_without_a_log_says_which_have_one() {
    let place = tempfile::tempdir().unwrap();
    let dirs = Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
    let folder = dirs.create(NewSandbox::default()).unwrap();
    let error = read(&dirs, folder.id(), Excerpt::default(), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("stockade run -d"), "{error}");
}
