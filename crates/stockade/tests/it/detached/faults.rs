//! What goes wrong around them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Yard, eventually, in_namespace};

/// True if there is a control group of a sandbox anywhere.
fn has_group(below: &Path, id: &str) -> bool {
    let Ok(entries) = fs::read_dir(below) else {
        return false;
    };
    let directories = entries.filter_map(Result::ok).filter(|entry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| kind.is_dir())
    });
    directories
        .map(|entry| entry.path())
        .any(|path| path.to_string_lossy().contains(id) || has_group(&path, id))
}

/// Starts one, has what lies at `below` its state directory removed (`ID` stands for it), and expects
/// that it ends, and that nothing of it is left.
fn ends_without(below: &str) {
    const GROUPS: &str = "/sys/fs/cgroup";
    let yard = Yard::new();
    yard.detach(&[], "echo kept > file; echo up; exec sleep 1000");
    yard.until_logged("up");
    let inside = yard.ok(&["exec", "box", "--", "readlink", "/proc/self/ns/pid"]);
    let id = yard.inspect()["id"].as_str().expect("an id").to_owned();
    let supervisor = yard.supervisor().as_raw_pid();
    let had_group = has_group(Path::new(GROUPS), &id);
    // Positive control: it lives, and nothing but what follows ends it.
    assert!(in_namespace(inside.trim()));
    let removed = yard.path("state").join(below.replace("ID", &id));
    // It may be writing there while it ends.
    eventually("an empty place", || {
        // The kernel makes a directory for each overlay that nobody may look into.
        let remove = "chmod -R u+rwX \"$0\"; rm -rf \"$0\"";
        let _ = Command::new("sh").args(["-c", remove]).arg(&removed).output();
        !removed.exists()
    });
    eventually("no process of it", || !in_namespace(inside.trim()));
    eventually("no supervisor", || {
        !Path::new(&format!("/proc/{supervisor}")).exists()
    });
    assert!(!removed.exists(), "it was made again");
    assert!(!has_group(Path::new(GROUPS), &id), "of {had_group}");
    assert_eq!(yard.ok(&["ls", "-q"]), "");
    // The name is free again.
    yard.detach(&[], "exec sleep 1000");
    assert_eq!(yard.state(), "running");
}

#[test]
fn one_whose_record_is_removed_ends_and_leaves_nothing() {
    ends_without("stockade/sandboxes/ID");
}

#[test]
fn one_whose_status_alone_is_removed_ends_too() {
    ends_without("stockade/sandboxes/ID/status.json");
}

#[test]
fn one_whose_state_directory_is_removed_ends_and_leaves_nothing() {
    ends_without("stockade");
}

#[test]
fn what_it_changed_is_kept_when_only_its_record_is_removed() {
    let yard = Yard::new();
    yard.detach(&[], "echo kept > file; echo up; exec sleep 1000");
    yard.until_logged("up");
    let supervisor = yard.supervisor().as_raw_pid();
    let id = yard.inspect()["id"].as_str().expect("an id").to_owned();
    fs::remove_dir_all(yard.path("state/stockade/sandboxes").join(id)).expect("it is there");
    eventually("no supervisor", || {
        !Path::new(&format!("/proc/{supervisor}")).exists()
    });
    assert_eq!(yard.ok(&["diff", "--name-only"]), "file\n");
    let shown = yard.ok(&["audit", "show", "--last"]);
    assert!(
        shown.contains("its record in the state directory was removed"),
        "{shown}"
    );
}

#[test]
fn the_record_names_the_program_that_started_a_detached_command() {
    let yard = Yard::new();
    yard.detach(&[], "exec sleep 1000");
    let shown = yard.ok(&["audit", "show", "box", "--kind", "exec-started", "--json"]);
    let record: Value = serde_json::from_str(shown.lines().next().expect("a line")).expect("JSON");
    let by = &record["event"]["by"];
    assert_eq!((&by["way"], &by["program"]), (&"run".into(), &"stockade".into()));
    let supervisor = yard.supervisor().as_raw_pid();
    let name = fs::read_to_string(format!("/proc/{supervisor}/comm")).expect("it lives");
    assert_eq!(name, "stockade\n");
}
