//! What the chain shows, and what writing survives.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::event::{shorten, texts};
use super::log::Bounds;
use super::*;
use crate::state::{AUDIT, StateDirs};

const ID: &str = "000000000001";
const OTHER: &str = "000000000002";

fn limit(text: &str) -> Event {
    Event::LimitHit {
        limit: text.into(),
        killed: None,
    }
}

fn start(argv: &[&str]) -> Event {
    Event::ProcessStarted(Start {
        pid: 7,
        program: argv[0].into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        ..Start::default()
    })
}

struct Place {
    dirs: StateDirs,
    _place: tempfile::TempDir,
}

fn place() -> Place {
    let place = tempfile::tempdir().unwrap();
    let dirs = StateDirs::open(&place.path().join("stockade")).unwrap();
    Place { dirs, _place: place }
}

fn written() -> (Place, PathBuf) {
    let place = place();
    let mut log = AuditLog::create(&place.dirs, ID).unwrap();
    for text in ["one", "two\n\"quoted\"", "three"] {
        log.note(&limit(text)).unwrap();
    }
    log.flush().unwrap();
    let path = log.path();
    (place, path)
}

fn edited(edit: impl Fn(&mut Vec<String>)) -> Result<Verified, String> {
    let (_place, path) = written();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    verify(&path).map_err(|error| error.to_string())
}

fn verified(dirs: &StateDirs, verifier: Verifier) -> Verified {
    let mut verifier = verifier;
    for file in files(dirs).unwrap() {
        verifier.file(&file).unwrap();
    }
    verifier.finish()
}

fn kinds(dirs: &StateDirs) -> Vec<String> {
    let mut kinds = Vec::new();
    for file in files(dirs).unwrap() {
        let bytes = std::fs::read(file).unwrap();
        read_lines(&*bytes, |line| {
            let Found::Entry(entry, _) = line.found else {
                panic!("{line:?}")
            };
            kinds.push(entry.kind().to_owned());
            true
        })
        .unwrap();
    }
    kinds
}

#[test]
fn an_untouched_log_passes() {
    let verified = edited(|_| {}).unwrap();
    assert_eq!((verified.lines, verified.broken), (3, 0));
}

#[test]
fn an_edited_line_is_named() {
    let error = edited(|lines| lines[1] = lines[1].replace("two", "2")).unwrap_err();
    assert!(error.contains("line 2: it was edited"), "{error}");
}

#[test]
fn a_removed_line_is_noticed() {
    let error = edited(|lines| drop(lines.remove(1))).unwrap_err();
    assert!(
        error.contains("line 2: record 2 of sandbox 000000000001: record 1 should stand here"),
        "{error}"
    );
    let error = edited(|lines| drop(lines.remove(0))).unwrap_err();
    assert!(
        error.contains("line 1") && error.contains("not the first of its sandbox"),
        "{error}"
    );
}

#[test]
fn moved_and_doubled_lines_are_noticed() {
    assert!(edited(|lines| lines.swap(1, 2)).unwrap_err().contains("line 2"));
    let double = |lines: &mut Vec<String>| lines.insert(1, lines[0].clone());
    assert!(edited(double).unwrap_err().contains("line 2"));
}

#[test]
fn a_line_of_one_sandbox_does_not_pass_as_anothers() {
    let error = edited(|lines| lines[0] = lines[0].replace(ID, OTHER)).unwrap_err();
    assert!(error.contains("line 1: it was edited"), "{error}");
}

/// What a chain without a key cannot show, and what a noted hash adds.
#[test]
fn a_cut_end_shows_only_against_a_noted_hash() {
    let (place, path) = written();
    let head = verified(&place.dirs, Verifier::of(ID)).sandboxes[ID].head.clone();
    assert_eq!(verified(&place.dirs, Verifier::of(ID).expecting(&head)).broken, 0);
    let text = std::fs::read_to_string(&path).unwrap();
    let cut = text
        .lines()
        .take(2)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    std::fs::write(&path, cut).unwrap();
    assert_eq!(verified(&place.dirs, Verifier::of(ID)).broken, 0, "as documented");
    let found = verified(&place.dirs, Verifier::of(ID).expecting(&head));
    assert!(found.breaks[0].why.contains("was noted"), "{found:?}");
}

/// Somebody who computes the rest anew is not found by the chain alone.
#[test]
fn a_forged_rest_shows_only_against_a_noted_hash() {
    let (place, path) = written();
    let head = verified(&place.dirs, Verifier::of(ID)).sandboxes[ID].head.clone();
    std::fs::remove_file(&path).unwrap();
    let mut forged = AuditLog::create(&place.dirs, ID).unwrap();
    for text in ["one", "innocent", "three"] {
        forged.note(&limit(text)).unwrap();
    }
    forged.flush().unwrap();
    assert_eq!(verified(&place.dirs, Verifier::of(ID)).broken, 0, "as documented");
    assert_eq!(verified(&place.dirs, Verifier::of(ID).expecting(&head)).broken, 1);
}

#[test]
fn sandboxes_that_run_at_the_same_time_have_their_own_chains() {
    let place = place();
    let mut logs = [ID, OTHER].map(|id| AuditLog::create(&place.dirs, id).unwrap());
    for round in ["one", "two"] {
        for log in &mut logs {
            log.note(&limit(round)).unwrap();
            log.flush().unwrap();
        }
    }
    let found = verify(&logs[0].path()).unwrap();
    assert_eq!((found.lines, found.sandboxes.len()), (4, 2));
    assert!(found.sandboxes.values().all(|chain| chain.records == 2));
    assert_eq!(verified(&place.dirs, Verifier::of(ID)).lines, 2);
}

#[test]
fn a_line_cut_off_by_a_crash_is_named_and_does_not_swallow_the_next() {
    let (place, path) = written();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 5]).unwrap();
    assert!(
        verify(&path)
            .unwrap_err()
            .to_string()
            .contains("line 3: it is cut off")
    );
    let mut next = AuditLog::create(&place.dirs, OTHER).unwrap();
    next.note(&limit("next")).unwrap();
    next.flush().unwrap();
    let found = verified(&place.dirs, Verifier::all());
    assert_eq!((found.broken, found.damaged), (1, 1), "{found:?}");
    assert_eq!(verified(&place.dirs, Verifier::of(OTHER)).broken, 0);
}

#[test]
fn the_chain_goes_on_in_the_next_file() {
    let place = place();
    let bounds = Bounds {
        file_bytes: 2000,
        ..Bounds::default()
    };
    let mut log = AuditLog::bounded(&place.dirs, ID, bounds).unwrap();
    for number in 0..40 {
        log.note(&limit(&number.to_string())).unwrap();
        log.flush().unwrap();
    }
    let all = files(&place.dirs).unwrap();
    assert!(all.len() > 3, "{all:?}");
    for file in &all {
        assert!(file.metadata().unwrap().len() < 3000);
    }
    let found = verified(&place.dirs, Verifier::all());
    assert_eq!(
        (found.broken, found.sandboxes[ID].records),
        (0, 40 + all.len() as u64 - 1),
        "{found:?}"
    );
    // One of them by itself says where it goes on from.
    let second = verify(&all[1]).unwrap();
    let first = all[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(second.sandboxes[ID].begins_in.as_deref(), Some(first));
    // Without one in the middle the chain is broken.
    std::fs::remove_file(&all[1]).unwrap();
    let found = verified(&place.dirs, Verifier::all());
    assert_eq!(found.broken, 1, "{found:?}");
}

#[test]
fn a_workload_cannot_fill_the_log_with_processes() {
    let place = place();
    let bounds = Bounds {
        process_bytes: 4000,
        ..Bounds::default()
    };
    let mut log = AuditLog::bounded(&place.dirs, ID, bounds).unwrap();
    for _ in 0..1000 {
        log.note(&start(&["true"])).unwrap();
    }
    log.note(&limit("the sandbox's own events still have room"))
        .unwrap();
    log.finish().unwrap();
    let kinds = kinds(&place.dirs);
    assert!(kinds.len() < 60, "{}", kinds.len());
    assert!(kinds.ends_with(&["limit-hit".into(), "lost".into()]));
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains(r#""what":"processes""#), "{text}");
    assert_eq!(verify(&log.path()).unwrap().broken, 0);
}

/// `/dev/full` stands for a disk that is.
#[test]
fn a_log_that_cannot_be_written_fails_before_the_sandbox_is() {
    let place = place();
    let name = super::place::file_name(crate::state::unix_ms(), 1);
    let file = place.dirs.part(AUDIT).unwrap().path().join(&name);
    std::fs::create_dir(&file).unwrap();
    let error = AuditLog::create(&place.dirs, ID).unwrap_err().to_string();
    assert!(
        error.contains("cannot create") && error.contains(&name),
        "{error}"
    );
    std::fs::remove_dir(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
    let error = AuditLog::create(&place.dirs, ID).unwrap_err().to_string();
    assert!(error.contains("no ordinary file"), "{error}");
}

#[test]
fn what_was_lost_is_told_and_the_chain_holds() {
    let place = place();
    let (_reader, writer) = std::io::pipe().unwrap();
    let sink = Sink::descriptor(writer.as_raw_fd()).unwrap();
    let mut log = AuditLog::create(&place.dirs, ID).unwrap().with_sinks(vec![sink]);
    let long = "x".repeat(1000);
    for _ in 0..6000 {
        log.note(&limit(&long)).unwrap();
    }
    log.finish().unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(
        text.contains(r#""what":{"sink":"descriptor"}"#),
        "the loss is recorded"
    );
    assert_eq!(
        verify(&log.path()).unwrap().sandboxes[ID].records,
        text.lines().count() as u64
    );
}

#[test]
fn another_reader_gets_the_same_lines() {
    let place = place();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let sink = Sink::descriptor(writer.as_raw_fd()).unwrap();
    drop(writer);
    let mut log = AuditLog::create(&place.dirs, ID).unwrap().with_sinks(vec![sink]);
    for text in ["one", "two"] {
        log.note(&limit(text)).unwrap();
    }
    log.finish().unwrap();
    let path = log.path();
    drop(log);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}

#[test]
fn secrets_are_masked_in_every_kind_that_holds_words() {
    let place = place();
    let secrets = Redactor::new([("MY_TOKEN", "correct-horse")]);
    let mut log = AuditLog::create(&place.dirs, ID).unwrap().redacting(secrets);
    let words = || vec!["x".to_owned(), "correct-horse".to_owned()];
    for event in [
        start(&["x", "--password", "hunter2", "a-correct-horse-b"]),
        Event::ExecStarted {
            exec: 0,
            command: words(),
            variables: vec!["MY_TOKEN".into()],
            by: By::this_process(),
        },
        Event::Refused {
            by: By::this_process(),
            command: words(),
            why: "x".into(),
            missing: Vec::new(),
        },
        Event::Failed {
            why: "no correct-horse here".into(),
        },
        Event::ExecEnded {
            exec: 0,
            exit: None,
            failure: Some("cannot run correct-horse".into()),
            output_bytes: 0,
        },
    ] {
        log.note(&event).unwrap();
    }
    log.flush().unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(text.matches("[redacted]").count(), 6, "{text}");
    assert!(
        !text.contains("correct-horse") && !text.contains("hunter2"),
        "{text}"
    );
    assert!(text.contains("MY_TOKEN"), "names are written");
}

#[test]
fn long_commands_are_shortened() {
    let command = shorten(&texts((0..100).map(|_| "é".repeat(50_000))));
    assert_eq!(command.len(), 65);
    assert_eq!(command[0].chars().count(), 1025);
}

#[test]
fn who_asked_is_written() {
    let by = serde_json::to_value(By::this_process()).unwrap();
    assert_eq!(
        (&by["way"], &by["pid"]),
        (&"run".into(), &std::process::id().into())
    );
    assert!(by["program"].is_string() && by["uid"].is_number(), "{by}");
}

#[test]
fn every_kind_is_named() {
    let text = include_str!("event.rs");
    let body = text.split_once("pub enum Event {").unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    let variants = body
        .lines()
        .filter(|line| {
            line.starts_with("    ")
                && !line.starts_with("     ")
                && line.trim().starts_with(char::is_uppercase)
        })
        .count();
    assert_eq!(variants, KINDS.len());
    let kind = serde_json::to_value(start(&["x"])).unwrap()["kind"].clone();
    assert!(KINDS.contains(&kind.as_str().unwrap()));
}

#[test]
fn no_bit_can_be_turned_unnoticed() {
    let (_place, path) = written();
    let text = std::fs::read(&path).unwrap();
    for at in 0..text.len() {
        let mut edited = text.clone();
        edited[at] ^= 1;
        std::fs::write(&path, &edited).unwrap();
        assert!(verify(&path).is_err(), "byte {at}");
    }
    std::fs::write(&path, &text).unwrap();
    assert!(verify(&path).is_ok());
}

fn log_text(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

proptest! {
    /// Any bytes are read to their end, and what is no record is said to be none.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut verifier = Verifier::all();
        verifier.bytes("x", &*bytes).unwrap();
        let found = verifier.finish();
        prop_assert_eq!(found.damaged, found.lines);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count()
            + usize::from(bytes.last().is_some_and(|last| *last != b'\n'));
        prop_assert_eq!(found.lines, lines as u64);
    }

    /// A piece of a log put anywhere else is noticed.
    #[test]
    fn no_piece_can_be_put_elsewhere(from in 0usize..700, length in 1usize..300, to in 0usize..700) {
        let (_place, path) = written();
        let mut bytes = log_text(&path);
        let from = from % bytes.len();
        let piece: Vec<u8> = bytes.drain(from..(from + length).min(bytes.len())).collect();
        let original = log_text(&path);
        let to = to % (bytes.len() + 1);
        bytes.splice(to..to, piece);
        prop_assume!(bytes != original);
        let mut verifier = Verifier::all();
        verifier.bytes("x", &*bytes).unwrap();
        prop_assert!(verifier.finish().broken > 0);
    }
}
