//! What the chain shows.

use std::path::PathBuf;

use super::event::{Asker, shorten};
use super::*;
use crate::state::StateDirs;

const ID: &str = "000000000001";

fn written() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let dirs = StateDirs::open(&place.path().join("stockade")).unwrap();
    let mut log = AuditLog::create(&dirs, ID).unwrap();
    for limit in ["one", "two\n\"quoted\"", "three"] {
        log.note(&Event::LimitHit { limit: limit.into() }).unwrap();
    }
    log.flush().unwrap();
    let path = log.path().to_owned();
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

#[test]
fn an_untouched_log_passes() {
    let verified = edited(|_| {}).unwrap();
    assert_eq!(verified.lines, 3);
}

#[test]
fn an_edited_line_is_named() {
    let error = edited(|lines| lines[1] = lines[1].replace("two", "2")).unwrap_err();
    assert!(error.contains("line 2: it was edited"), "{error}");
}

#[test]
fn a_removed_line_is_noticed() {
    assert!(
        edited(|lines| drop(lines.remove(1)))
            .unwrap_err()
            .contains("line 2")
    );
    assert!(
        edited(|lines| drop(lines.remove(0)))
            .unwrap_err()
            .contains("line 1")
    );
}

#[test]
fn moved_lines_are_noticed() {
    assert!(edited(|lines| lines.swap(1, 2)).unwrap_err().contains("line 2"));
}

#[test]
fn a_line_of_one_sandbox_does_not_pass_as_anothers() {
    let error = edited(|lines| lines[0] = lines[0].replace(ID, "000000000002")).unwrap_err();
    assert!(error.contains("line 1: it was edited"), "{error}");
}

#[test]
fn sandboxes_that_run_at_the_same_time_have_their_own_chains() {
    let place = tempfile::tempdir().unwrap();
    let dirs = StateDirs::open(&place.path().join("stockade")).unwrap();
    let mut logs = ["000000000001", "000000000002"].map(|id| AuditLog::create(&dirs, id).unwrap());
    for round in ["one", "two"] {
        for log in &mut logs {
            log.note(&Event::LimitHit { limit: round.into() }).unwrap();
            log.flush().unwrap();
        }
    }
    let verified = verify(logs[0].path()).unwrap();
    assert_eq!((verified.lines, verified.sandboxes.len()), (4, 2));
    assert!(verified.sandboxes.values().all(|(lines, _)| *lines == 2));
}

#[test]
fn a_line_cut_off_by_a_crash_is_named() {
    let (_place, path) = written();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 5]).unwrap();
    assert!(verify(&path).unwrap_err().to_string().contains("line 3"));
}

#[test]
fn files_are_named_after_months() {
    for (seconds, name) in [
        (0, "1970-01.jsonl"),
        (951_782_399, "2000-02.jsonl"),
        (951_868_800, "2000-03.jsonl"),
        (1_709_251_199, "2024-02.jsonl"),
        (1_735_689_599, "2024-12.jsonl"),
        (1_735_689_600, "2025-01.jsonl"),
    ] {
        assert_eq!(super::log::file_name(seconds * 1000), name);
    }
}

#[test]
fn long_commands_are_shortened() {
    let command = shorten((0..100).map(|_| "é".repeat(5000)));
    assert_eq!(command.len(), 65);
    assert_eq!(command[0].chars().count(), 1025);
}

#[test]
fn who_asked_is_written() {
    assert_eq!(serde_json::to_value(Asker::Control).unwrap(), "control");
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
