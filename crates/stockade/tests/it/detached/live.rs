//! A workspace that is written in place, with what runs later on the host kept read-only.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Yard;
use crate::pty::Terminal;

/// A repository with what an editor and an agent read, and one commit.
fn prepare() -> Yard {
    let yard = Yard::new();
    for directory in [".vscode", ".claude", "dir"] {
        fs::create_dir(yard.project().join(directory)).expect("a directory");
    }
    for name in [".mcp.json", "plain", "gone", "dir/file", ".vscode/tasks.json"] {
        yard.file(name, "1\n");
    }
    git(&yard, &["init", "-q", "."]);
    fs::create_dir_all(yard.project().join(".git/hooks")).expect("hooks");
    git(&yard, &["add", "."]);
    git(&yard, &["commit", "-qm", "first"]);
    yard
}

fn git(yard: &Yard, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(words)
        .current_dir(yard.project())
        .env("HOME", yard.path("home"))
        .output()
        .expect("git");
    assert!(output.status.success(), "{}", yard.tidy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn live(yard: &Yard, script: &str) -> String {
    yard.ok(&["run", "--workspace-mode", "live", "--", "sh", "-c", script])
}

/// Every path with its kind, mode, owner, target and content.
fn tree(yard: &Yard) -> Vec<String> {
    let script = "find . -path ./.git/index -prune -o -printf '%P %y %m %U %l\\n'; \
                  find . -type f -not -path ./.git/index -exec sha256sum {} +";
    let listed = Command::new("sh")
        .args(["-c", script])
        .current_dir(yard.project())
        .output()
        .expect("find");
    let mut lines: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn what_runs_later_on_the_host_cannot_be_written_moved_or_replaced() {
    let yard = prepare();
    let attacks = [
        "mv .git x; mkdir -p .git/hooks",
        "echo evil > .git/hooks/pre-commit",
        "ln -s /tmp/evil .git/hooks/pre-commit",
        "rm -rf .git/hooks && mkdir .git/hooks && echo evil > .git/hooks/pre-commit",
        "git config core.fsmonitor evil",
        "echo '[core]' >> .git/config",
        "mv .git/config x",
        "echo x > new && mv new .git/config",
        "echo evil > .vscode/tasks.json",
        "mv .vscode x",
        "rm -rf .claude",
        "mv .mcp.json x",
        "echo x > new && mv -f new .mcp.json",
        "chmod 777 .vscode",
        "ln .mcp.json hard && echo evil > hard",
    ];
    let before = tree(&yard);
    for attack in attacks {
        let done = live(
            &yard,
            &format!("({attack}) >/dev/null 2>&1 && echo done; rm -rf new hard x"),
        );
        let expected = if attack.contains("mkdir -p") { "done\n" } else { "" };
        assert_eq!(done, expected, "{attack}");
        assert!(tree(&yard) == before, "{attack}");
    }
    // Positive controls: the same tools reach what is not protected, and without the mode all of it.
    let done = live(
        &yard,
        "mv dir moved && echo 2 > plain && ln plain hard && echo x > new && mv -f new gone && chmod 700 moved && echo done",
    );
    assert_eq!(done, "done\n");
    assert_eq!(
        fs::read(yard.project().join("plain")).expect("it is there"),
        b"2\n"
    );
    let outside = "echo evil > .git/hooks/pre-commit && mv .git x && mv .vscode y && echo done";
    let output = Command::new("sh")
        .args(["-c", outside])
        .current_dir(yard.project())
        .output()
        .expect("sh");
    assert_eq!(output.stdout, b"done\n");
}

#[test]
fn commits_work() {
    let yard = prepare();
    live(
        &yard,
        "echo 2 > plain && git add -A && git -c user.name=i -c user.email=i@i commit -qm second",
    );
    assert!(git(&yard, &["log", "--oneline"]).contains("second"));
    assert_eq!(git(&yard, &["status", "--short"]), "");
}

#[test]
fn what_was_changed_in_place_is_shown_and_all_of_it_can_be_taken_back() {
    let yard = prepare();
    let before = tree(&yard);
    live(
        &yard,
        "echo 2 > plain; rm gone; rm -rf dir; mkdir -p new/deep; echo x > new/deep/x; ln -s plain link; chmod 600 plain",
    );
    let after = tree(&yard);
    let shown = yard.ok(&["diff", "--name-only"]);
    assert_eq!(shown, "dir/file\ngone\nlink\nnew/deep/x\nplain\n");
    let refused = yard.refused(&["apply", "--all"]);
    assert!(
        refused.contains("stockade rewind --changes live start"),
        "{refused}"
    );
    yard.ok(&["rewind", "--changes", "live", "start"]);
    assert!(tree(&yard) == before);
    assert_eq!(yard.ok(&["diff", "--name-only"]), "");
    yard.ok(&["undo"]);
    assert!(tree(&yard) == after);
}

#[test]
fn each_checkpoint_of_a_live_workspace_can_be_gone_back_to() {
    let yard = prepare();
    live(&yard, "echo 2 > plain; rm -rf dir; mkdir new; echo x > new/x");
    let first = tree(&yard);
    yard.ok(&["checkpoint", "first"]);
    // The person edits, too.
    yard.file("plain", "mine\n");
    fs::remove_dir_all(yard.project().join("new")).expect("it is there");
    fs::create_dir_all(yard.project().join("dir/other")).expect("a directory");
    yard.file("dir/other/more", "1\n");
    yard.file("gone", "edited\n");
    let second = tree(&yard);
    yard.ok(&["checkpoint", "second"]);
    for (which, expected) in [("first", &first), ("second", &second), ("first", &first)] {
        yard.ok(&["rewind", "--changes", "live", which]);
        assert!(&tree(&yard) == expected, "{which}");
    }
    let said = yard.refused(&["rewind", "--changes", "live", "none"]);
    assert!(said.contains("no checkpoint"), "{said}");
}

#[test]
fn what_cannot_be_protected_is_told_and_a_driver_that_cannot_protect_refuses() {
    let yard = prepare();
    let output = yard.call(&["run", "--workspace-mode", "live", "--", "true"]);
    let said = yard.tidy(&output.stderr);
    assert!(
        said.contains("not protected from being made") && said.contains(".idea"),
        "{said}"
    );
    assert!(said.contains(".vscode is kept read-only"), "{said}");
    let said = yard.refused(&[
        "run",
        "--driver",
        "landlock",
        "--workspace-mode",
        "live",
        "--",
        "true",
    ]);
    assert!(said.contains("workspace-protected"), "{said}");
    let said = yard.refused(&["run", "--changes", "live", "--", "true"]);
    assert!(said.contains("changed in place"), "{said}");
}

#[test]
fn two_sandboxes_never_write_one_workspace_in_place_at_the_same_time() {
    let yard = prepare();
    yard.detach(&["--workspace-mode", "live"], "echo up; sleep 1000");
    yard.until_logged("up");
    let said = yard.refused(&["run", "--workspace-mode", "live", "--", "true"]);
    assert!(said.contains("busy"), "{said}");
    let said = yard.refused(&["rewind", "--changes", "live", "start"]);
    assert!(said.contains("uses it"), "{said}");
}

/// Does something until the test is over: watches begin a little after the start.
fn again_and_again(act: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    std::thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            act();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    over
}

#[test]
fn a_change_on_the_host_is_told_at_once_in_a_session_with_an_overlay() {
    let yard = prepare();
    let file = yard.project().join("dir/file");
    let mut terminal = Terminal::start(&yard.run(&["sh", "-c", "echo up; read line; echo got"]));
    terminal.expect("up");
    let over = again_and_again(move || fs::write(&file, "mine").expect("it is written"));
    terminal.expect("dir/file changed on the host");
    over.store(true, Ordering::Relaxed);
    terminal.keys("go\r");
    terminal.expect("got");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_sandbox_whose_protected_file_the_host_replaces_goes_no_further_unasked() {
    let yard = prepare();
    let (new, held) = (yard.path("new"), yard.project().join(".git/config"));
    let content = fs::read(&held).expect("it is there");
    let mut terminal = Terminal::start(&yard.run_with(
        &["-q", "--name", "box", "--workspace-mode", "live"],
        &[
            "sh",
            "-c",
            "echo up; read line; echo '#' >> .git/config && echo written",
        ],
    ));
    terminal.expect("up");
    let (from, to) = (new.clone(), held.clone());
    let over = again_and_again(move || {
        fs::write(&from, &content).expect("it is written");
        fs::rename(&from, &to).expect("it is replaced");
    });
    terminal.expect(".git/config was replaced on the host");
    over.store(true, Ordering::Relaxed);
    let is_over = |terminal: &Terminal| terminal.contents().contains("is stopped");
    terminal.wait_for("what becomes of it", |terminal| {
        is_over(terminal) || terminal.contents().contains("is paused")
    });
    if is_over(&terminal) {
        // What it does in its last moment is not known: its input ends just before it does.
        assert_ne!(terminal.end(), 0);
        return;
    }
    let before = fs::read(&held).expect("it is there");
    terminal.keys("go\r");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(fs::read(&held).expect("it is there"), before);
    // The control: what the warning says is so, and whoever lets it go on has been told.
    yard.ok(&["resume", "box"]);
    terminal.expect("written");
    assert_eq!(terminal.end(), 0);
}
