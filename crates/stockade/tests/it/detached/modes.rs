//! A workspace that is copied: reviewed while it runs, like one with an overlay.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::pause::{cannot_pause, skip};
use super::{Yard, eventually, lives};

/// Every kind of change.
const CHANGE: &str = "echo 2 > plain; rm gone; mkdir -p new/deep; echo x > new/deep/x; chmod 700 dir; \
    ln -sf plain link; mv dir/moved dir/elsewhere; setfattr -n user.mine -v 1 plain 2>/dev/null; true";

fn prepare() -> Yard {
    let yard = Yard::new();
    fs::create_dir(yard.project().join("dir")).expect("a directory");
    for name in ["plain", "gone", "dir/moved"] {
        yard.file(name, "1\n");
    }
    std::os::unix::fs::symlink("gone", yard.project().join("link")).expect("a link");
    yard
}

/// What is shown, what an apply leaves, and what an undo brings back.
fn whole_way(mode: &str) -> [String; 3] {
    let yard = prepare();
    let tree = || {
        let listed = Command::new("find")
            .args([".", "-printf", "%P %y %m %l\n"])
            .current_dir(yard.project())
            .output()
            .expect("find");
        let mut lines: Vec<_> = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines.join("\n")
    };
    let before = tree();
    yard.ok(&["run", "--workspace-mode", mode, "--", "sh", "-c", CHANGE]);
    assert_eq!(tree(), before, "{mode}: the project itself changed");
    let shown = yard.ok(&["diff"]);
    yard.ok(&["apply", "--all"]);
    let applied = tree();
    assert_ne!(applied, before);
    yard.ok(&["undo"]);
    assert_eq!(tree(), before);
    [shown, applied, yard.ok(&["diff", "--stat"])]
}

#[test]
fn a_copied_workspace_is_reviewed_applied_and_undone_like_one_with_an_overlay() {
    assert_eq!(whole_way("copy"), whole_way("cow"));
}

#[test]
fn each_mode_goes_on_with_what_the_other_left() {
    let yard = prepare();
    for (number, mode) in ["copy", "cow", "copy"].into_iter().enumerate() {
        let script = format!("test \"$(wc -l < plain)\" = {} && echo more >> plain", number + 1);
        yard.ok(&["run", "--workspace-mode", mode, "--", "sh", "-c", &script]);
    }
    assert!(yard.ok(&["diff", "--stat"]).contains("plain |     3 +++"));
}

#[test]
fn what_a_running_sandbox_changed_in_its_copy_is_shown_and_leaves_no_trace() {
    let yard = prepare();
    yard.detach(
        &["--workspace-mode", "copy"],
        "echo 2 > plain; rm gone; echo done; sleep 1000",
    );
    yard.until_logged("done");
    assert_eq!(yard.ok(&["diff", "--name-only"]), "gone\nplain\n");
    assert_eq!(
        fs::read(yard.project().join("plain")).expect("it is there"),
        b"1\n"
    );
    let kept = fs::read_dir(yard.path("state/stockade/changes")).expect("change sets");
    for set in kept.flatten() {
        let names: Vec<_> = fs::read_dir(set.path())
            .expect("a set")
            .flatten()
            .map(|name| name.file_name())
            .collect();
        assert!(
            !names
                .iter()
                .any(|name| name.to_string_lossy().starts_with("look-")),
            "{names:?}"
        );
    }
    yard.ok(&["stop", "--grace", "0s", "box"]);
    assert_eq!(yard.ok(&["diff", "--name-only"]), "gone\nplain\n");
}

#[test]
fn a_checkpoint_of_a_copy_that_is_in_use_holds_what_it_held_then() {
    let yard = prepare();
    yard.detach(
        &["--workspace-mode", "copy"],
        "echo 2 > plain; echo one; while ! test -e go; do sleep 0.01; done; echo 3 > plain; echo two; sleep 1000",
    );
    yard.until_logged("one");
    if cannot_pause(&yard) {
        return;
    }
    yard.ok(&["resume", "box"]);
    yard.ok(&["checkpoint", "early"]);
    yard.ok(&["exec", "-q", "box", "--", "touch", "go"]);
    yard.until_logged("two");
    yard.ok(&["stop", "--grace", "0s", "box"]);
    assert!(yard.ok(&["diff", "plain"]).contains("+3"));
    yard.ok(&["rewind", "early"]);
    let diff = yard.ok(&["diff", "plain"]);
    assert!(diff.contains("+2") && !diff.contains("+3"), "{diff}");
}

#[test]
fn what_is_killed_with_its_supervisor_can_be_applied() {
    let yard = prepare();
    yard.detach(
        &["--workspace-mode", "copy"],
        "echo 2 > plain; echo done; sleep 1000",
    );
    yard.until_logged("done");
    let supervisor = yard.supervisor();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("a process of ours");
    let process = PathBuf::from(format!("/proc/{}", supervisor.as_raw_nonzero()));
    eventually("death", || !lives(&process));
    yard.ok(&["gc"]);
    yard.ok(&["apply", "--all"]);
    assert_eq!(
        fs::read(yard.project().join("plain")).expect("it is there"),
        b"2\n"
    );
}

/// The state directory on an overlay, as in a container.
#[test]
fn where_no_overlay_is_possible_the_workspace_is_copied_and_that_is_said() {
    if !rustix::process::geteuid().is_root() {
        skip("copy-by-itself", "mounting an overlay to begin with needs root");
        return;
    }
    let yard = prepare();
    let script = format!(
        "mkdir over up work low && mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work over && \
         cd project && XDG_STATE_HOME=\"$OLDPWD/over\" \"{0}\" run -- sh -c 'echo 2 > plain' && \
         XDG_STATE_HOME=\"$OLDPWD/over\" \"{0}\" diff plain && cat plain",
        yard.program()
    );
    let home = yard.path("home");
    let done = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .current_dir(yard.path(""))
        .env("HOME", home)
        .output()
        .expect("unshare");
    let (said, shown) = (yard.tidy(&done.stderr), yard.tidy(&done.stdout));
    assert!(done.status.success(), "{said}");
    assert!(
        said.contains("note: the workspace is copied")
            && said.contains("overlay cannot keep changes on overlayfs"),
        "{said}"
    );
    assert!(shown.ends_with("-1\n+2\n1\n"), "{shown}");
    // Positive control: on an ordinary file system nothing is copied.
    let plain = yard.call(&["run", "--", "true"]);
    assert!(!yard.tidy(&plain.stderr).contains("is copied"));
}

/// Nobody listens to the supervisor, so it takes a note.
#[test]
fn what_the_host_changes_under_a_detached_sandbox_is_noted() {
    let yard = Yard::new();
    yard.file("edited", "1\n");
    yard.detach(&[], "echo 2 > made; exec sleep 1000");
    let noted = || yard.inspect()["notes"].to_string();
    assert_eq!(noted(), "[]");
    let mut number = 0;
    // The watch begins a little later.
    eventually("a note", || {
        number += 1;
        yard.file("edited", &format!("{number}\n"));
        noted().contains("edited changed on the host")
    });
    assert!(
        yard.ok(&["inspect", "box"])
            .contains("edited changed on the host")
    );
    let diff = yard.call(&["diff"]);
    let told = String::from_utf8_lossy(&diff.stderr).into_owned();
    assert!(told.contains("note: edited changed on the host"), "{told}");
    assert!(
        yard.ok(&["diff", "--json"])
            .contains("edited changed on the host")
    );
    yard.ok(&["stop", "--grace", "100ms", "box"]);
    yard.ok(&["rm", "box"]);
}
