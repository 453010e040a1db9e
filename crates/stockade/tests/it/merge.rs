//! Conflicts, from the command line: shown, merged, marked.

use std::fs;

use crate::apply::{inside, read, told, wait_a_tick};
use crate::pty::Terminal;
use crate::world::World;

const BASE: &str = "one\n2\n3\n4\nfive\n";
const MERGED: &str = "uno\n2\n3\n4\ncinque\n";
const MARKED: &str =
    "one\n2\n3\n4\n<<<<<<< host\ncinq\n||||||| base\nfive\n=======\ncinque\n>>>>>>> sandbox\n";

/// What an apply says of the three conflicts.
const FROM_THREE_SIDES: &str = r"
stockade: applied 1 change (`stockade undo` takes it back)
stockade: conflict: apart
    base → host:
    @@ -1,4 +1,4 @@
    -one
    +uno
     2
     3
     4
    base → sandbox:
    @@ -2,4 +2,4 @@
     2
     3
     4
    -five
    +cinque
    merges cleanly (--conflicts merge)
stockade: conflict: gone
    base → host:
    @@ -1,4 +1,4 @@
    -one
    +uno
     2
     3
     4
    cannot be merged: it was deleted inside and changed on the host
stockade: conflict: same
    host, line 5:
      cinq
    base:
      five
    sandbox, line 5:
      cinque
    both sides changed the same lines: line 5 of the host's file (--conflicts mark)
stockade: 3 changes held back, and still pending:
  apart (conflict: it changed on the host, too)
  gone (conflict: it changed on the host, too)
  same (conflict: it changed on the host, too)
  fix: say --conflicts merge, or take a side: --conflicts host, sandbox or beside
";

/// A conflict that merges, one that clashes, one by a deletion, and a harmless change.
fn prepare() -> World {
    let world = World::new();
    for name in ["apart", "gone", "same"] {
        world.file(name, BASE);
    }
    inside(
        &world,
        "sed -i s/five/cinque/ apart same; rm gone; echo new > plain",
    );
    wait_a_tick();
    world.file("apart", "uno\n2\n3\n4\nfive\n");
    world.file("gone", "uno\n2\n3\n4\nfive\n");
    world.file("same", "one\n2\n3\n4\ncinq\n");
    world
}

#[test]
fn a_diff_shows_conflicts_first_with_what_can_be_done() {
    let world = prepare();
    let (_, text, _) = told(&world, &["diff"]);
    let head = text.split("\n\n").next().expect("a summary");
    assert_eq!(
        head,
        "! conflicts: 3 files changed on the host, too, since the sandbox began\n\
         ! M apart: merges cleanly (--conflicts merge)\n\
         ! D gone: cannot be merged: it was deleted inside and changed on the host\n\
         ! M same: both sides changed the same lines: line 5 of the host's file (--conflicts mark)"
    );
    let (_, stat, _) = told(&world, &["diff", "--stat"]);
    assert!(stat.contains(head) && stat.contains("! M apart |"), "{stat}");
    let (_, json, _) = told(&world, &["diff", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let facts = |path: &str| {
        let changes = json["changes"].as_array().expect("changes");
        let found = changes
            .iter()
            .find(|change| change["path"] == path)
            .expect("a change");
        (found["conflict"].clone(), found["merge"].clone())
    };
    assert_eq!(facts("apart"), (true.into(), "cleanly".into()));
    assert_eq!(facts("same"), (true.into(), "with-marks".into()));
    assert_eq!(facts("gone"), (true.into(), "not".into()));
    assert_eq!(facts("plain"), (false.into(), serde_json::Value::Null));
    let page = world.project().join("../page.html");
    assert_eq!(
        told(&world, &["diff", "--html", page.to_str().expect("a path")]).0,
        0
    );
    let page = fs::read_to_string(page).expect("a page");
    assert!(
        page.contains("<h2>Conflicts</h2>") && page.contains("merges cleanly (--conflicts merge)"),
        "{page}"
    );
    // Without a conflict nothing of it is said.
    world.file("plain-too", "");
    let clean = World::new();
    inside(&clean, "echo 1 > a");
    assert!(!told(&clean, &["diff"]).1.contains("conflict"));
}

#[test]
fn an_apply_shows_conflicts_from_three_sides_and_leaves_them() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["apply", "--all"]);
    assert_eq!(code, 1, "{complaint}");
    assert_eq!(complaint.trim_end(), FROM_THREE_SIDES.trim());
    assert_eq!(read(&world, "same"), "one\n2\n3\n4\ncinq\n");
    let (_, json, _) = told(&world, &["apply", "--all", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json["conflicts"],
        serde_json::json!([
            {"path": "apart", "merge": "cleanly"},
            {"path": "gone", "merge": "not", "why": "it was deleted inside and changed on the host"},
            {"path": "same", "merge": "with-marks",
             "why": "both sides changed the same lines: line 5 of the host's file"},
        ])
    );
}

#[test]
fn what_merges_cleanly_is_merged_and_the_rest_held_back_by_name() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["apply", "--all", "--conflicts", "merge"]);
    assert_eq!(code, 1, "{complaint}");
    assert!(
        complaint.contains("same (conflict, not merged: both sides changed the same lines: line 5")
            && complaint.contains("gone (conflict, not merged: it was deleted inside")
            && complaint.contains("--conflicts mark"),
        "{complaint}"
    );
    assert_eq!(read(&world, "apart"), MERGED);
    assert_eq!(read(&world, "same"), "one\n2\n3\n4\ncinq\n");
    assert_eq!(read(&world, "plain"), "new\n");
    assert_eq!(told(&world, &["undo"]).0, 0);
    assert_eq!(read(&world, "apart"), "uno\n2\n3\n4\nfive\n");
    assert_eq!(told(&world, &["apply", "apart", "--conflicts", "merge"]).0, 0);
    assert_eq!(read(&world, "apart"), MERGED);
}

#[test]
fn marks_are_written_only_when_asked_for_and_need_a_person() {
    let world = prepare();
    let (code, _, complaint) = told(&world, &["apply", "same", "apart", "--conflicts", "mark"]);
    assert_eq!(code, 1, "{complaint}");
    assert!(
        complaint.contains("same has conflict markers in 1 place") && !complaint.contains("apart has"),
        "{complaint}"
    );
    assert_eq!(read(&world, "same"), MARKED);
    assert_eq!(read(&world, "apart"), MERGED);
    // Nothing is pending of it, and all can be taken back.
    assert!(!told(&world, &["diff", "--name-only"]).1.contains("same"));
    assert_eq!(told(&world, &["undo"]).0, 0);
    assert_eq!(read(&world, "same"), "one\n2\n3\n4\ncinq\n");
}

#[test]
fn safe_applies_nothing_while_there_is_a_conflict_that_is_not_merged() {
    let world = prepare();
    let arguments = ["apply", "--safe", "--conflicts", "merge"];
    let (code, _, complaint) = told(&world, &arguments);
    assert_eq!(code, 1, "{complaint}");
    assert_eq!(read(&world, "apart"), "uno\n2\n3\n4\nfive\n");
    assert_eq!(told(&world, &["discard", "gone", "same"]).0, 0);
    let (code, _, complaint) = told(&world, &arguments);
    assert_eq!(code, 0, "{complaint}");
    assert_eq!(read(&world, "apart"), MERGED);
}

#[test]
fn a_risky_file_needs_its_yes_to_be_merged_as_well() {
    let world = World::new();
    world.file("Makefile", BASE);
    inside(&world, "sed -i s/five/cinque/ Makefile");
    wait_a_tick();
    world.file("Makefile", "uno\n2\n3\n4\nfive\n");
    let (code, _, complaint) = told(&world, &["apply", ".", "--conflicts", "merge"]);
    assert_eq!(
        (code, complaint.contains("Makefile (risky: ")),
        (1, true),
        "{complaint}"
    );
    assert_eq!(read(&world, "Makefile"), "uno\n2\n3\n4\nfive\n");
    assert_eq!(told(&world, &["apply", "Makefile", "--conflicts", "merge"]).0, 0);
    assert_eq!(read(&world, "Makefile"), MERGED);
}

#[test]
fn in_a_terminal_a_merge_is_offered_where_there_is_one() {
    let world = prepare();
    let mut terminal = Terminal::start(&world.stockade(&["apply", "-i"]));
    terminal.expect("merge both, l leave");
    terminal.keys("m\r");
    terminal.expect("it was deleted inside");
    terminal.expect("apply it? [l leave");
    terminal.keys("l\r");
    terminal.expect("A plain");
    terminal.keys("n\r");
    terminal.expect("with conflict markers");
    terminal.keys("m\r");
    terminal.expect("applied 2 changes");
    assert_eq!(terminal.end(), 1);
    assert_eq!(read(&world, "apart"), MERGED);
    assert_eq!(read(&world, "same"), MARKED);
    assert_eq!(read(&world, "gone"), "uno\n2\n3\n4\nfive\n");
}

/// A yes to a file is no yes to overwriting the host's.
#[test]
fn in_a_terminal_a_conflict_is_asked_about_whatever_the_flag_says() {
    let world = World::new();
    world.file("both", BASE);
    inside(&world, "sed -i s/five/cinque/ both; echo new > a; echo new > c");
    wait_a_tick();
    world.file("both", "uno\n2\n3\n4\nfive\n");
    let mut terminal = Terminal::start(&world.stockade(&["apply", "-i", "--conflicts", "host"]));
    terminal.expect("A a");
    terminal.keys("a\r");
    terminal.expect("keep the host's");
    terminal.keys("h\r");
    terminal.expect("applied 2 changes");
    assert_eq!(terminal.end(), 0);
    assert_eq!(read(&world, "both"), "uno\n2\n3\n4\nfive\n");
}

/// The host changes a file after a run, and another run writes it anew.
#[test]
fn a_later_run_does_not_hide_a_conflict() {
    let world = World::new();
    world.file("both", BASE);
    inside(&world, "sed -i s/five/cinque/ both");
    wait_a_tick();
    world.file("both", "uno\n2\n3\n4\nfive\n");
    // `sed -i` puts a new file in its place.
    inside(&world, "sed -i s/3/tre/ both");
    let (code, _, complaint) = told(&world, &["apply", "--all"]);
    assert_eq!(code, 1, "{complaint}");
    assert_eq!(read(&world, "both"), "uno\n2\n3\n4\nfive\n");
    let (code, _, complaint) = told(&world, &["apply", "--all", "--conflicts", "merge"]);
    assert_eq!(code, 0, "{complaint}");
    assert_eq!(read(&world, "both"), "uno\n2\ntre\n4\ncinque\n");
}

/// A file that was moved and changed inside, and changed on the host.
fn prepare_moved() -> World {
    let world = World::new();
    world.file("old", BASE);
    inside(
        &world,
        "sed s/five/cinque/ old > new; rm old; printf '1\n2\n' > other",
    );
    wait_a_tick();
    world.file("old", "uno\n2\n3\n4\nfive\n");
    world
}

fn names(world: &World) -> (bool, bool) {
    let is_there = |name: &str| world.project().join(name).exists();
    (is_there("old"), is_there("new"))
}

#[test]
fn a_moved_file_whose_original_the_host_changed_is_one_conflict_of_both_names() {
    let world = prepare_moved();
    let (_, text, _) = told(&world, &["diff"]);
    assert!(
        text.starts_with("! conflicts: 1 file changed")
            && text.contains("new: merges cleanly (--conflicts merge)"),
        "{text}"
    );
    // By either name, and without one.
    for arguments in [
        &["apply", "--all"][..],
        &["apply", "new"][..],
        &["apply", "old"][..],
    ] {
        let (code, _, complaint) = told(&world, arguments);
        assert_eq!(code, 1, "{complaint}");
        assert!(
            complaint.contains("new (conflict: it changed on the host, too)")
                && complaint.contains("old (one conflict with new, to which it was moved)")
                && complaint.matches("stockade: conflict: ").count() == 1,
            "{complaint}"
        );
        assert_eq!(names(&world), (true, false), "{arguments:?}");
    }
    assert!(
        world.project().join("other").exists(),
        "the control: what is no conflict is applied"
    );
}

#[test]
fn of_a_moved_file_a_side_is_chosen_for_both_names() {
    for (choice, expected, new) in [
        ("merge", (false, true), MERGED),
        ("sandbox", (false, true), "one\n2\n3\n4\ncinque\n"),
        ("host", (true, false), ""),
        ("beside", (true, true), "one\n2\n3\n4\ncinque\n"),
    ] {
        let world = prepare_moved();
        let (code, _, complaint) = told(&world, &["apply", "--all", "--conflicts", choice]);
        assert_eq!((code, names(&world)), (0, expected), "{choice}: {complaint}");
        if expected.1 {
            assert_eq!(read(&world, "new"), new, "{choice}");
        }
        assert_eq!(told(&world, &["diff", "--name-only"]).1, "", "{choice}");
        assert_eq!(told(&world, &["undo"]).0, 0);
        assert_eq!(names(&world), (true, false), "{choice}");
        assert_eq!(read(&world, "old"), "uno\n2\n3\n4\nfive\n");
    }
}

#[test]
fn a_new_file_of_both_sides_that_a_later_run_wrote_anew_is_a_conflict() {
    let world = World::new();
    inside(&world, "echo sandbox > new");
    wait_a_tick();
    world.file("new", "host\n");
    wait_a_tick();
    inside(&world, "echo sandbox again > draft; mv draft new");
    let (code, _, complaint) = told(&world, &["apply", "--all"]);
    assert_eq!(code, 1, "{complaint}");
    assert_eq!(read(&world, "new"), "host\n");
    assert_eq!(
        told(&world, &["apply", "--all", "--conflicts", "mark"]).0,
        1,
        "somebody has to choose"
    );
    assert_eq!(
        read(&world, "new"),
        "<<<<<<< host\nhost\n||||||| base\n=======\nsandbox again\n>>>>>>> sandbox\n"
    );
}
