//! What a person is shown, and in which order.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use stockade_workspace::{Detail, Review, Risk, Trees, Wish};

use super::patch::everything;
use super::{Dirs, dirs, whiteout};

fn review(dirs: &Dirs, wish: &Wish) -> Review {
    let trees = Trees::open(&dirs.upper, &dirs.lower).expect("trees");
    trees.review(wish).expect("a review")
}

fn plain() -> Wish {
    Wish {
        ignored: false,
        ..everything()
    }
}

fn paths(review: &Review) -> Vec<&str> {
    let paths = review.changes.iter().map(|item| item.change.path.to_str());
    paths.map(|path| path.expect("UTF-8")).collect()
}

fn put(root: &std::path::Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, content).expect("a file");
}

#[test]
fn what_runs_later_comes_first() {
    let dirs = dirs();
    for name in ["a", "z/.envrc", "Makefile", ".git/hooks/pre-commit"] {
        put(&dirs.upper, name, "x");
    }
    put(&dirs.upper, "setuid", "x");
    fs::set_permissions(dirs.upper.join("setuid"), fs::Permissions::from_mode(0o4755)).expect("mode");
    let review = review(&dirs, &plain());
    let risky: Vec<_> = review
        .changes
        .iter()
        .filter(|item| !item.change.risks.is_empty())
        .map(|item| (item.change.path.to_str().expect("UTF-8"), item.change.risks[0]))
        .collect();
    assert_eq!(
        risky,
        [
            (".git/hooks/pre-commit", Risk::Git),
            ("Makefile", Risk::Build),
            ("setuid", Risk::Setid),
            ("z/.envrc", Risk::Startup),
        ]
    );
    assert_eq!(
        paths(&review)[..4],
        risky.iter().map(|(path, _)| *path).collect::<Vec<_>>()[..]
    );
}

#[test]
fn what_the_hosts_links_and_settings_make_obeyed_is_marked_and_no_link_from_inside() {
    let dirs = dirs();
    put(
        &dirs.lower,
        ".git/config",
        "[core]\n\thooksPath = ./tools/hooks\n",
    );
    put(&dirs.lower, "conf/claude/old", "x");
    symlink("conf/claude", dirs.lower.join(".claude")).expect("a link");
    symlink("../more", dirs.lower.join(".git/hooks")).expect("a link");
    for name in [
        "tools/hooks/pre-commit",
        "tools/other",
        "conf/claude/settings.json",
        "more/pre-push",
        "src/x",
    ] {
        put(&dirs.upper, name, "x");
    }
    symlink("src", dirs.upper.join(".vscode")).expect("a link");
    let review = review(&dirs, &plain());
    let risky: Vec<_> = review
        .changes
        .iter()
        .filter(|item| !item.change.risks.is_empty())
        .map(|item| (item.change.path.to_str().expect("UTF-8"), item.change.risks[0]))
        .collect();
    assert_eq!(
        risky,
        [
            (".vscode", Risk::Editor),
            ("conf/claude/settings.json", Risk::Agent),
            ("more/pre-push", Risk::Git),
            ("tools/hooks/pre-commit", Risk::Git),
        ]
    );
}

#[test]
fn ignored_trees_are_one_line_by_the_hosts_rules() {
    let dirs = dirs();
    put(&dirs.lower, ".gitignore", "node_modules/\n*.log\n!keep.log\n");
    put(&dirs.lower, "sub/.gitignore", "/here\n");
    for name in [
        "node_modules/a/b",
        "node_modules/c",
        "x.log",
        "keep.log",
        "sub/here",
        "here",
        "src",
    ] {
        put(&dirs.upper, name, "1");
    }
    let told = review(&dirs, &plain());
    let folded: Vec<_> = told
        .folded
        .iter()
        .map(|fold| (fold.path.to_str().expect("UTF-8"), fold.counts.files()))
        .collect();
    assert_eq!(folded, [("node_modules", 2), ("sub/here", 1), ("x.log", 1)]);
    assert_eq!(paths(&told), ["here", "keep.log", "src"]);
    assert_eq!(review(&dirs, &everything()).folded, []);
}

#[test]
fn rules_that_were_written_inside_hide_nothing() {
    let dirs = dirs();
    put(&dirs.upper, ".gitignore", "*\n");
    put(&dirs.upper, "evil", "1");
    let told = review(&dirs, &plain());
    assert_eq!((paths(&told), told.folded.len()), (vec![".gitignore", "evil"], 0));
}

#[test]
fn what_acts_unasked_is_told_although_it_is_ignored() {
    let dirs = dirs();
    put(&dirs.lower, ".gitignore", ".envrc\n.vscode\nbuild\n");
    for name in [".envrc", ".vscode/tasks.json", "build/Makefile"] {
        put(&dirs.upper, name, "1");
    }
    let told = review(&dirs, &plain());
    assert!(
        paths(&told).starts_with(&[".envrc", ".vscode/tasks.json"]),
        "{:?}",
        paths(&told)
    );
    let build = told
        .folded
        .iter()
        .find(|fold| fold.path.ends_with("build"))
        .expect("build");
    assert_eq!((build.counts.files(), build.risky), (1, 1));
}

#[test]
fn a_package_is_risky_only_if_its_commands_change() {
    let dirs = dirs();
    let with = |script: &str, version: &str| {
        format!(r#"{{"scripts":{{"test":"{script}"}},"dependencies":{{"x":"{version}"}}}}"#)
    };
    for (name, after) in [
        ("a", with("x", "2")),
        ("b", with("y", "1")),
        ("c", "{".to_owned()),
    ] {
        put(&dirs.lower, &format!("{name}/package.json"), &with("x", "1"));
        put(&dirs.upper, &format!("{name}/package.json"), &after);
    }
    put(&dirs.upper, "d/package.json", r#"{"name":"new"}"#);
    let told = review(&dirs, &plain());
    let risky = |item: &&stockade_workspace::Item| item.change.risks.contains(&Risk::Build);
    let risky: Vec<_> = told
        .changes
        .iter()
        .filter(risky)
        .map(|item| &item.change.path)
        .collect();
    assert_eq!(
        risky,
        [
            std::path::Path::new("b/package.json"),
            std::path::Path::new("c/package.json")
        ]
    );
}

#[test]
fn links_are_risky_if_they_lead_out() {
    let dirs = dirs();
    fs::create_dir(dirs.upper.join("d")).expect("d");
    for (name, target) in [
        ("in", "d/x"),
        ("d/up", "../in"),
        ("d/out", "../../x"),
        ("root", "/etc"),
    ] {
        symlink(target, dirs.upper.join(name)).expect("a link");
    }
    let told = review(&dirs, &plain());
    assert_eq!(paths(&told)[..2], ["d/out", "root"]);
    assert!(told.changes[2].change.risks.is_empty());
}

#[test]
fn moved_files_are_found_and_copies_of_lines_are_not() {
    let dirs = dirs();
    let text: String = (0..30).map(|number| format!("{number}\n")).collect();
    put(&dirs.lower, "old", &text);
    put(&dirs.lower, "other", "q\nr\ns\n");
    whiteout(&dirs.upper.join("old"));
    whiteout(&dirs.upper.join("other"));
    put(&dirs.upper, "new", &text.replace("3\n", "three\n"));
    let told = review(&dirs, &plain());
    let letters: String = told
        .changes
        .iter()
        .map(stockade_workspace::Item::letter)
        .collect();
    assert_eq!((letters.as_str(), paths(&told)), ("RD", vec!["new", "other"]));
    assert!(
        told.changes[0]
            .renamed
            .as_ref()
            .is_some_and(|renamed| renamed.similarity > 60)
    );
}

#[test]
fn a_pipe_in_place_of_a_file_is_not_read() {
    let dirs = dirs();
    put(&dirs.lower, "file", "x");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, dirs.upper.join("file"), kind, mode, 0).expect("a pipe");
    let trees = Trees::open(&dirs.upper, &dirs.lower).expect("trees");
    let told = trees.review(&plain()).expect("a review");
    assert_eq!(told.changes[0].change.risks, [Risk::Special]);
    assert!(matches!(
        trees.detail(&told.changes[0]),
        Detail::Text(_) | Detail::None
    ));
}

#[test]
fn only_the_paths_that_are_asked_for_are_told() {
    let dirs = dirs();
    for name in ["a/x", "ab", "b"] {
        put(&dirs.upper, name, "1");
    }
    let wish = Wish {
        paths: vec!["a".into()],
        ..plain()
    };
    let told = review(&dirs, &wish);
    assert_eq!((paths(&told), told.counts.files()), (vec!["a/x"], 1));
}
