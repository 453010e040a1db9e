//! `stockade diff`: what sandboxes changed, shown to people, programs, git and browsers.

use std::fs;
use std::process::{Command, Output};

use scraper::{Html, Selector};

use super::world::World;

const CHANGE: &str = r#"
printf 'a\nB\nc\n' > text
rm gone
printf '\033]0;owned\007\033[2J<script>alert(1)</script>\n' > esc
printf x > "$(printf 'line\nM forged')"
printf x > '<img src=x onerror=alert(1)>'
mkdir -p .git/hooks node_modules/m
printf '#!/bin/sh\n' > .git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
printf 1 > node_modules/m/index.js
printf '{"scripts":{"postinstall":"x"}}' > package.json
ln -s /etc/passwd out
"#;

fn changed() -> World {
    let world = World::new();
    world.file("text", "a\nb\nc\n");
    world.file("gone", "x\n");
    world.file(".gitignore", "node_modules/\n");
    let ran = world.run(&["sh", "-c", CHANGE]).output().expect("it runs");
    assert!(ran.status.success(), "{}", world.tidy(&ran.stderr));
    world
}

fn diff(world: &World, flags: &[&str]) -> Output {
    let done = world
        .stockade(&[&["diff"], flags].concat())
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", world.tidy(&done.stderr));
    done
}

fn text(world: &World, flags: &[&str]) -> String {
    world.tidy(&diff(world, flags).stdout)
}

#[test]
fn the_text_has_risks_first_and_nothing_raw() {
    let world = changed();
    insta::assert_snapshot!(text(&world, &[]));
}

#[test]
fn the_stat_is_one_line_a_file() {
    let world = changed();
    insta::assert_snapshot!(text(&world, &["--stat"]));
}

#[test]
fn names_are_quoted_as_git_does() {
    let world = changed();
    let names = text(&world, &["--name-only"]);
    assert!(names.contains("\"line\\nM forged\"\n"), "{names}");
    assert!(names.starts_with(".git/hooks/pre-commit\n"), "{names}");
}

#[test]
fn only_the_paths_that_are_named_are_shown() {
    let world = changed();
    assert_eq!(text(&world, &["--name-only", "gone", "./text"]), "gone\ntext\n");
    let outside = world.stockade(&["diff", "../x"]).output().expect("it runs");
    assert_eq!(outside.status.code(), Some(125));
    assert!(world.tidy(&outside.stderr).contains("is not in the project"));
}

#[test]
fn json_tells_risks_and_lines() {
    let world = changed();
    let told: serde_json::Value = serde_json::from_slice(&diff(&world, &["--json"]).stdout).expect("JSON");
    let changes = told["changes"].as_array().expect("a list");
    let of = |path: &str| {
        changes
            .iter()
            .find(|change| change["path"] == path)
            .expect("the change")
    };
    assert_eq!(changes[0]["risks"], serde_json::json!(["git", "executable"]));
    assert_eq!(
        (&of("text")["added_lines"], &of("text")["removed_lines"]),
        (&1.into(), &1.into())
    );
    assert_eq!(of("gone")["kind"], "deleted");
    assert_eq!(told["folded"][0]["path"], "node_modules");
}

#[test]
fn real_git_applies_the_patch() {
    let world = changed();
    let done = diff(&world, &["--patch", "p"]);
    let notes = world.tidy(&done.stderr);
    for left in [".git/hooks/pre-commit", "node_modules"] {
        assert!(notes.contains(&format!("not in the patch: {left}")), "{notes}");
    }
    let applied = Command::new("git")
        .args(["apply", "p"])
        .env("GIT_CEILING_DIRECTORIES", world.path(""))
        .current_dir(world.project())
        .output()
        .expect("git");
    assert!(applied.status.success(), "{}", world.tidy(&applied.stderr));
    assert_eq!(
        fs::read_to_string(world.project().join("text")).expect("text"),
        "a\nB\nc\n"
    );
    assert!(!world.project().join("gone").exists() && !world.project().join(".git").exists());
    // What is on the host now is no change any more.
    let left = text(&world, &["--name-only"]);
    assert_eq!(left, ".git/hooks/pre-commit\n", "{left}");
}

#[test]
fn nothing_to_review_is_no_mistake() {
    let world = World::new();
    let done = diff(&world, &[]);
    assert_eq!(
        (
            done.stdout.len(),
            world.tidy(&done.stderr).contains("no unapplied changes")
        ),
        (0, true)
    );
    let unknown = world
        .stockade(&["diff", "--changes", "ghost"])
        .output()
        .expect("it runs");
    assert_eq!(unknown.status.code(), Some(125));
}

#[test]
fn a_rule_that_was_written_inside_hides_nothing() {
    let world = World::new();
    let script = "echo '*' > .gitignore; echo x > evil";
    assert!(
        world
            .run(&["sh", "-c", script])
            .status()
            .expect("it runs")
            .success()
    );
    assert_eq!(text(&world, &["--name-only"]), ".gitignore\nevil\n");
}

#[test]
fn the_page_holds_everything_and_runs_nothing() {
    let world = changed();
    diff(&world, &["--html", "review.html"]);
    let source = fs::read_to_string(world.project().join("review.html")).expect("the page");
    assert!(
        source
            .chars()
            .all(|letter| letter == '\n' || letter == '\t' || !letter.is_control())
    );
    let page = Html::parse_document(&source);
    let all = |what: &str| {
        let selector = Selector::parse(what).expect("a selector");
        page.select(&selector)
            .map(|found| found.text().collect::<String>())
            .collect::<Vec<_>>()
    };
    for element in [
        "script",
        "img",
        "iframe",
        "link",
        "object",
        "form",
        "[onerror]",
        "[onclick]",
        "[src]",
    ] {
        assert!(all(element).is_empty(), "{element}");
    }
    let policy = Selector::parse("meta[http-equiv]").expect("a selector");
    let policy = page
        .select(&policy)
        .next()
        .and_then(|meta| meta.attr("content"))
        .expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let risks = all(".risks li").concat();
    for file in [".git/hooks/pre-commit", "package.json", "out"] {
        assert!(risks.contains(file), "no {file} in {risks}");
    }
    let cells = all("td").concat();
    assert!(
        cells.contains("<script>alert(1)</script>") && cells.contains("\\u{1b}[2J"),
        "{cells}"
    );
    assert!(all("summary").concat().contains("<img src=x onerror=alert(1)>"));
    assert!(
        all(".history li").concat().contains("exec-started"),
        "{:?}",
        all(".history li")
    );
    let targets = Selector::parse("a[href]").expect("a selector");
    assert!(
        page.select(&targets)
            .all(|link| link.attr("href").is_some_and(|href| href.starts_with("#f")))
    );
}

#[test]
fn the_style_is_the_one_that_the_policy_allows() {
    use sha2::{Digest, Sha256};
    let world = changed();
    diff(&world, &["--html", "review.html"]);
    let source = fs::read_to_string(world.project().join("review.html")).expect("the page");
    let style = source
        .split("<style>")
        .nth(1)
        .and_then(|rest| rest.split("</style>").next())
        .expect("a style");
    let digest = Sha256::digest(style.as_bytes());
    assert!(
        source.contains(&format!("'sha256-{}'", base64(&digest))),
        "{}",
        base64(&digest)
    );
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[usize::try_from(number >> (18 - 6 * at) & 63).expect("small")];
            text.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn a_set_user_id_file_is_marked() {
    let world = World::new();
    let script = "printf x > tool; chmod 4755 tool; ls -l tool";
    assert!(
        world
            .run(&["sh", "-c", script])
            .status()
            .expect("it runs")
            .success()
    );
    let shown = text(&world, &[]);
    assert!(
        shown.contains("! A tool: runs as another user") && shown.contains("104755"),
        "{shown}"
    );
    // The positive control: the same file without the bit is not marked so.
    let other = World::new();
    other
        .run(&["sh", "-c", "printf x > tool"])
        .status()
        .expect("it runs");
    assert!(!text(&other, &[]).contains('!'));
}

#[test]
fn a_name_means_the_same_set_everywhere_and_a_set_comes_before_a_sandbox() {
    let world = World::new();
    for (flags, name) in [
        (&["--name", "twice"][..], "by-sandbox"),
        (&["--changes", "twice"], "by-set"),
    ] {
        let ran = world.run_with(flags, &["touch", name]).output().expect("it runs");
        assert!(ran.status.success(), "{}", world.tidy(&ran.stderr));
    }
    let diff = text(&world, &["--changes", "twice", "--name-only"]);
    let changes = world.stockade(&["changes", "twice"]).output().expect("it runs");
    let changes = world.tidy(&changes.stdout);
    assert_eq!(diff, "by-set\n");
    assert!(
        changes.contains("by-set") && !changes.contains("by-sandbox"),
        "{changes}"
    );
}
