//! `stockade probe`: what is chosen, and what it needs. That it attacks is shown by `cargo xtask test`,
//! which runs all of it.

use std::path::Path;
use std::process::Command;

use crate::world::World;

fn told(arguments: &[&str]) -> (Option<i32>, String, String) {
    let world = World::new();
    let output = world.stockade(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// By a process of its own: what this one has open for writing, a child of another thread may have, too,
/// and then it cannot be executed.
fn copy(from: &str, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

#[test]
fn probes_are_listed_by_group_and_by_the_beginning_of_an_id() {
    let (code, all, _) = told(&["probe", "--list"]);
    assert_eq!(code, Some(0));
    assert!(all.lines().count() > 50, "{all}");
    let (_, files, _) = told(&["probe", "--list", "--category", "files", "--id", "fs0"]);
    assert!(all.contains("OP01") && !files.contains("OP01"), "{all}");
    assert!(
        files.contains("FS03") && !files.contains("FS17") && !files.contains("PR01"),
        "{files}"
    );
}

#[test]
fn what_does_not_exist_is_refused_with_the_nearest() {
    let (code, _, complaint) = told(&["probe", "--category", "file"]);
    assert_eq!(code, Some(125));
    assert!(
        complaint.contains("no group of probes called file; did you mean files?")
            && complaint.contains("--list"),
        "{complaint}"
    );
    let (code, _, complaint) = told(&["probe", "--driver", "natve"]);
    assert!(code == Some(125) && complaint.contains("native"), "{complaint}");
    let (code, _, complaint) = told(&["probe", "--id", "XX"]);
    assert!(
        code == Some(125) && complaint.contains("no probe called XX"),
        "{complaint}"
    );
}

#[test]
fn without_the_inside_half_nothing_is_probed_and_the_fix_is_told() {
    let world = World::new();
    let alone = world.path("home/stockade");
    copy(world.program(), &alone);
    let output = Command::new(&alone)
        .args(["probe", "--json"])
        .env("XDG_STATE_HOME", world.path("state"))
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    assert!(
        complaint.contains("libexec/stockade/stockade-probes") && complaint.contains("fix: install"),
        "{complaint}"
    );
}

#[test]
fn an_inside_half_of_another_build_is_refused() {
    let world = World::new();
    let alone = world.path("home/stockade");
    copy(world.program(), &alone);
    copy("/bin/echo", &world.path("home/stockade-probes"));
    let output = Command::new(&alone)
        .arg("probe")
        .env("XDG_STATE_HOME", world.path("state"))
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(125) && complaint.contains("of another build than this program"),
        "{complaint}"
    );
}
