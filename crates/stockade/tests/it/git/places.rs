//! Repositories in other places and forms than one `.git` at the top.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Repository;

#[test]
fn a_repository_made_inside_a_new_directory_comes_with_its_commits() {
    let repository = Repository::new();
    repository.inside("mkdir -p new/deep; cd new/deep; git init -q; echo x > x; git add x; git commit -qm nested; git tag t");
    let (_, said) = repository.told(&["diff", "--stat"]);
    assert!(said.contains("new/deep/.git: commits were made inside"), "{said}");
    let (code, said) = repository.told(&["apply", "new"]);
    assert_eq!(code, 1, "its settings and hooks need their own yes: {said}");
    assert_eq!(
        repository.git(&["-C", "new/deep", "status", "--porcelain", "-b"]),
        "## main"
    );
    assert_eq!(
        repository.git(&["-C", "new/deep", "log", "--format=%s", "t"]),
        "nested"
    );
    repository.git(&["-C", "new/deep", "fsck", "--strict"]);
    assert_eq!(repository.git(&["log", "--format=%s"]), "first");
}

#[test]
fn a_clone_made_inside_comes_with_its_remote_and_goes_with_objects_that_came_later() {
    let repository = Repository::new();
    repository.inside("git clone -q --no-hardlinks . copy; git -C copy remote set-head origin main");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    let default = || repository.git(&["-C", "copy", "symbolic-ref", "refs/remotes/origin/HEAD"]);
    assert_eq!(default(), "refs/remotes/origin/main");
    assert_eq!(
        repository.git(&["-C", "copy", "status", "--porcelain", "-b"]),
        "## main...origin/main"
    );
    // Objects of later commits stay when these are taken back; the repository goes with them.
    repository.inside("cd copy; echo later > later; git add later; git commit -qm later");
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    // The second would put the first clone where the commit is pending: that is kept apart.
    for words in [&["undo"][..], &["undo", "--set-aside"]] {
        let (code, said) = repository.told(words);
        assert_eq!(code, 0, "{said}");
    }
    assert!(!repository.path("copy").exists());
    // What the host does in it meanwhile keeps it there.
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    repository.git(&["-C", "copy", "commit", "-q", "--allow-empty", "-m", "mine"]);
    let (code, said) = repository.told(&["undo"]);
    assert!(code == 125 && said.contains("copy/.git"), "{said}");
    assert_eq!(
        repository.git(&["-C", "copy", "log", "-1", "--format=%s"]),
        "mine"
    );
}

#[test]
fn names_for_other_references_are_left_and_keep_nothing_else_back() {
    let repository = Repository::new();
    repository.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repository.git(&[
        "symbolic-ref",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
    ]);
    repository.inside(
        "git symbolic-ref refs/heads/alias refs/heads/main; git symbolic-ref refs/remotes/evil/HEAD refs/heads/main; \
         git symbolic-ref refs/remotes/up/HEAD refs/remotes/origin/main; git symbolic-ref -d refs/remotes/origin/HEAD; \
         git commit -q --allow-empty -m second",
    );
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    for name in [
        "alias",
        "remote evil/HEAD",
        "remote up/HEAD",
        "remote origin/HEAD",
    ] {
        let line = format!("{name}: left as it is: it is a name for another reference");
        assert!(said.contains(&line), "{line} is not in {said}");
    }
    assert_eq!(repository.git(&["log", "-1", "--format=%s", "main"]), "second");
    assert_eq!(
        repository.git(&["rev-parse", "--symbolic-full-name", "origin/HEAD"]),
        "refs/remotes/origin/main"
    );
    assert!(
        !repository.path(".git/refs/heads/alias").exists()
            && !repository.path(".git/refs/remotes/evil").exists()
    );
}

#[test]
fn in_a_linked_worktree_files_come_and_commits_are_refused_with_words() {
    let repository = Repository::new();
    let main = repository.world.path("main");
    fs::rename(repository.world.project(), &main).expect("moved");
    let main = main.to_str().expect("UTF-8").to_owned();
    fs::create_dir(repository.world.path("empty")).expect("a directory");
    let project = repository.world.project();
    let added = std::process::Command::new("git")
        .args(["-C", &main, "worktree", "add", "-q", "-b", "linked"])
        .arg(&project)
        .output()
        .expect("git runs");
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
    let said =
        repository.inside("echo 6 >> a; git status --porcelain; git commit -qam x 2>&1 && exit 9; true");
    assert!(
        said.contains("M a") && said.contains("Read-only file system"),
        "{said}"
    );
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    assert_eq!(
        repository.git(&["status", "--porcelain", "-b"]),
        "## linked\n M a"
    );
}

#[test]
fn a_branch_that_another_working_tree_has_checked_out_is_not_moved_under_it() {
    let repository = Repository::new();
    let other = repository.world.path("other");
    repository.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "busy",
        other.to_str().expect("UTF-8"),
    ]);
    repository.inside("git commit -q --allow-empty -m x; git update-ref refs/heads/busy HEAD");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("busy: not moved, because another working tree has it checked out"),
        "{said}"
    );
    assert_eq!(repository.git(&["log", "--format=%s", "busy"]), "first");
}

#[test]
fn root_makes_files_for_the_owner_of_the_project() {
    let repository = Repository::new();
    let owned = std::process::Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(repository.world.project())
        .output();
    if !owned.is_ok_and(|done| done.status.success()) {
        // Only root takes over what others own.
        return crate::detached::skip("root_makes_files_for_the_owner_of_the_project", "needs root");
    }
    repository.inside("git -c safe.directory='*' commit -q --allow-empty -m x; git tag t/u");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    let mut pending = vec![repository.path(".git")];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("metadata");
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (65534, 65534),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            pending.extend(
                path.read_dir()
                    .expect("a listing")
                    .map(|entry| entry.expect("an entry").path()),
            );
        }
    }
}

#[test]
fn a_directory_that_git_takes_for_a_repository_is_told_as_one() {
    let repository = Repository::new();
    repository.inside(
        "git init -q --bare lib; echo x > lib/hooks/post-update; mkdir -p plain/hooks; echo x > plain/config; echo x > plain/hooks/y",
    );
    let told: serde_json::Value =
        serde_json::from_str(&repository.told(&["diff", "--json"]).1).expect("JSON");
    let risks = |path: &str| {
        let changes = told["changes"].as_array().expect("changes");
        let change = changes
            .iter()
            .find(|change| change["path"] == path)
            .expect("the change");
        change["risks"]
            .as_array()
            .is_some_and(|risks| risks.contains(&"git".into()))
    };
    assert!(risks("lib/config") && risks("lib/hooks/post-update"));
    assert!(!risks("plain/config") && !risks("plain/hooks/y"));
    // Taken as the files that it is, by name or with --all.
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    assert_eq!(
        repository.git(&["-C", "lib", "rev-parse", "--is-bare-repository"]),
        "true"
    );
}
