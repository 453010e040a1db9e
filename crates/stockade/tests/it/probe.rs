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

/// What these demonstrations show on every host that lets them be made.
const SHOWN: [(&str, &str); 12] = [
    ("chroot-proc", "true"),
    ("chroot-escape", "true"),
    ("chroot-signals", "true"),
    ("chroot-network", "true"),
    ("unshare-files", "true"),
    ("unshare-variables", "true"),
    ("unshare-descriptors", "true"),
    ("bubblewrap-variables", "true"),
    ("unshare-limits", "true"),
    ("container-kernel", "false"),
    ("read-only-socket", "false"),
    ("setuid", "true"),
];

#[test]
fn claims_are_shown_true_or_false_or_it_is_told_why_not_and_nothing_stays() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let before = mounts();
    let (code, text, complaint) = told(&["probe", "--claims", "--json"]);
    assert_eq!(code, Some(0), "{complaint}");
    let claims: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let claims = claims.as_array().expect("a list");
    let find = |id: &str| {
        claims
            .iter()
            .find(|one| one["id"] == id)
            .unwrap_or_else(|| panic!("no {id}"))
    };
    let mut count = 0;
    for (id, expected) in SHOWN {
        let one = find(id);
        match one["shown"].as_str() {
            Some("not") => assert!(one["why"].as_str().is_some_and(|why| !why.is_empty()), "{one}"),
            shown => {
                assert_eq!(shown, Some(expected), "{one}");
                count += 1;
            }
        }
    }
    assert!(
        claims
            .iter()
            .all(|one| one["stockade"].is_string() && one["source"].is_string())
    );
    assert_eq!(mounts(), before);
    if count == 0 {
        crate::probed::skip(
            "probe::claims_are_shown_true_or_false_or_it_is_told_why_not_and_nothing_stays",
            "no demonstration can be made here",
        );
    }
}

#[test]
fn claims_and_a_choice_of_probes_do_not_go_together() {
    let (code, _, complaint) = told(&["probe", "--claims", "--driver", "native"]);
    assert!(
        code != Some(0) && complaint.contains("cannot be used with"),
        "{complaint}"
    );
}
