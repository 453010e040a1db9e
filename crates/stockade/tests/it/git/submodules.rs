//! Submodules: their commits come as those of the project do, and what binds a submodule to its files is the host's.

use std::fs;

use super::Repository;

/// Makes a commit in the submodule and one that names it in the project.
const WORK: &str =
    "cd sub; echo s > s; git add s; git commit -qm inside; cd ..; git add sub; git commit -qm bump";

/// A repository with a submodule in `sub`, which has one commit.
fn prepare() -> Repository {
    let repository = Repository::new();
    let library = repository.world.path("library");
    let path = library.to_str().expect("UTF-8").to_owned();
    repository.git(&["init", "-q", &path]);
    repository.git(&["-C", &path, "commit", "-q", "--allow-empty", "-m", "library"]);
    add(&repository, &path, "sub");
    repository.git(&["commit", "-qm", "with a submodule"]);
    repository
}

fn add(repository: &Repository, from: &str, to: &str) {
    let allowed = "protocol.file.allow=always";
    repository.git(&["-c", allowed, "submodule", "add", "-q", from, to]);
}

/// The newest subjects of the project and of the submodule, and what is not committed in either.
fn state(repository: &Repository) -> [String; 3] {
    [
        repository.git(&["log", "-1", "--format=%s"]),
        repository.git(&["-C", "sub", "log", "-1", "--format=%s"]),
        repository.git(&["status", "--porcelain"]),
    ]
}

const BEFORE: [&str; 3] = ["with a submodule", "library", ""];
const AFTER: [&str; 3] = ["bump", "inside", ""];

#[test]
fn commits_in_a_submodule_and_in_the_project_come_together_and_go_together() {
    let repository = prepare();
    repository.inside(WORK);
    let (_, said) = repository.told(&["diff", "--stat"]);
    assert!(
        said.contains(".git/modules/sub: commits were made inside") && said.contains(".git: commits"),
        "{said}"
    );
    for _ in 0..2 {
        let (code, said) = repository.told(&["apply", "."]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(state(&repository), AFTER, "{said}");
        assert_eq!(
            repository.git(&["-C", "sub", "rev-parse", "HEAD"]),
            repository.git(&["rev-parse", "HEAD:sub"])
        );
        repository.git(&["-C", "sub", "fsck", "--strict"]);
        assert_eq!(repository.told(&["diff", "--name-only"]).1, "");
        let (code, said) = repository.told(&["undo"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(state(&repository), BEFORE, "{said}");
    }
}

#[test]
fn a_submodule_without_a_branch_and_with_a_name_of_several_parts_is_one_too() {
    let repository = prepare();
    let library = repository.world.path("library");
    add(&repository, library.to_str().expect("UTF-8"), "libs/deep/x");
    repository.git(&["commit", "-qm", "two"]);
    repository.git(&["-C", "libs/deep/x", "checkout", "-q", "--detach"]);
    repository.inside(
        &WORK
            .replace("cd sub", "cd libs/deep/x")
            .replace("cd ..", "cd ../../..")
            .replace("add sub", "add libs"),
    );
    let (code, said) = repository.told(&["apply", "."]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        repository.git(&["-C", "libs/deep/x", "log", "-1", "--format=%s"]),
        "inside"
    );
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    assert_eq!(
        repository.git(&["-C", "libs/deep/x", "rev-parse", "HEAD"]),
        repository.git(&["rev-parse", "HEAD:libs/deep/x"])
    );
}

#[test]
fn what_the_host_committed_in_a_submodule_meanwhile_stays() {
    let repository = prepare();
    repository.inside(WORK);
    repository.git(&["-C", "sub", "commit", "-q", "--allow-empty", "-m", "mine"]);
    let (code, said) = repository.told(&["apply", "."]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(repository.git(&["-C", "sub", "log", "-1", "--format=%s"]), "mine");
    let branches = repository.git(&[
        "-C",
        "sub",
        "branch",
        "--list",
        "stockade/*",
        "--format=%(subject)",
    ]);
    assert_eq!(branches, "inside");
}

/// The bond between a submodule and its files, changed inside in every way.
#[test]
fn a_submodule_that_was_bound_elsewhere_inside_is_not_taken() {
    for attack in [
        "git config -f .git/modules/sub/config core.worktree /etc",
        "git config -f .git/modules/sub/config core.worktree ../../../../../out",
        "git config -f .git/modules/sub/config --unset core.worktree",
        "rm -rf sub; ln -s /etc sub",
        "rm -rf sub; mkdir sub; ln -s /etc/passwd sub/.git",
        "echo 'gitdir: /tmp' > sub/.git",
        "rm -rf .git/modules/sub/objects; ln -s /tmp .git/modules/sub/objects",
        "mv .git/modules/sub x; ln -s ../../x .git/modules/sub",
    ] {
        let repository = prepare();
        let library = repository.git(&["-C", "sub", "rev-parse", "HEAD"]);
        repository.inside(&format!("{WORK}\n{attack}"));
        let settings = fs::read(repository.path(".git/modules/sub/config")).expect("settings");
        let (code, said) = repository.told(&["apply", "."]);
        assert_eq!(code, 1, "{attack}: {said}");
        let held = fs::read_to_string(repository.path(".git/modules/sub/refs/heads/main"));
        assert_eq!(held.expect("a branch").trim(), library, "{attack}: {said}");
        let now = fs::read(repository.path(".git/modules/sub/config")).expect("settings");
        assert_eq!(now, settings, "{attack}");
        assert!(
            repository.path("sub").is_dir() && !repository.path("sub").is_symlink(),
            "{attack}"
        );
        // What was deleted inside may be deleted, and nothing else may stand there.
        let bond = repository.path("sub/.git");
        let held = fs::symlink_metadata(&bond)
            .is_ok()
            .then(|| fs::read(&bond).expect("a file"));
        let whole = held.is_none_or(|held| held == b"gitdir: ../.git/modules/sub\n");
        assert!(whole, "{attack}: {said}");
    }
    // The control: without an attack it is taken.
    let repository = prepare();
    repository.inside(WORK);
    assert_eq!(repository.told(&["apply", "."]).0, 0);
    assert_eq!(state(&repository), AFTER);
}

#[test]
fn what_a_submodule_names_is_not_executed_and_not_taken_unasked() {
    let repository = prepare();
    let canary = repository.world.path("canary");
    let trap = format!(
        "printf '#!/bin/sh\\ntouch {0}\\n' > .git/modules/sub/evil; chmod +x .git/modules/sub/evil
         git config -f .git/modules/sub/config core.fsmonitor \"$PWD/.git/modules/sub/evil\"
         for hook in post-checkout reference-transaction post-index-change; do cp .git/modules/sub/evil .git/modules/sub/hooks/$hook; done
         git config -f .gitmodules submodule.sub.url /etc; git config -f .gitmodules submodule.sub.path ../out
         rm -f {0}",
        canary.display()
    );
    repository.inside(&format!("{WORK}\n{trap}"));
    for form in [&["diff"][..], &["apply", "."], &["undo"], &["apply", "."]] {
        let (code, said) = repository.told(form);
        assert!((0..=1).contains(&code) && !canary.exists(), "{form:?}: {said}");
    }
    let (_, said) = repository.told(&["apply", "."]);
    for held in [
        ".git/modules/sub/config",
        ".git/modules/sub/hooks/post-checkout",
        ".gitmodules",
    ] {
        assert!(said.contains(held), "{held}: {said}");
    }
    assert_eq!(
        repository.git(&["-C", "sub", "log", "-1", "--format=%s"]),
        "inside"
    );
    repository.git(&["-C", "sub", "status"]);
    assert!(!canary.exists(), "the host obeys something that came along");
    // The control: what is asked for by its name is obeyed.
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    repository.try_git(&["-C", "sub", "status"]);
    assert!(canary.exists(), "the traps are none");
}

#[test]
fn a_submodule_whose_objects_lie_is_told_and_not_taken() {
    let repository = prepare();
    repository.inside(&format!(
        "{WORK}
         path() {{ echo .git/modules/sub/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }}
         cd sub; new=$(git rev-parse HEAD); old=$(git rev-parse HEAD~1); cd ..
         chmod +w $(path $new); cp $(path $old) $(path $new)"
    ));
    let (code, said) = repository.told(&["apply", "."]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("holds something else than its name says"), "{said}");
    assert_eq!(
        repository.git(&["-C", "sub", "log", "-1", "--format=%s"]),
        "library"
    );
}

#[test]
fn where_the_host_has_the_bond_in_another_form_and_where_it_is_new_it_is_left_until_it_is_named() {
    let bound = prepare();
    let absolute = bound.path("sub");
    let settings = ["config", "-f", ".git/modules/sub/config", "core.worktree"];
    bound.git(&[&settings[..], &[absolute.to_str().expect("UTF-8")]].concat());
    bound.inside(WORK);
    let new = Repository::new();
    let script = format!(
        "git init -q /tmp/library; git -C /tmp/library commit -q --allow-empty -m library
         git -c protocol.file.allow=always submodule add -q /tmp/library sub; git commit -qm with; {WORK}"
    );
    new.inside(&script);
    for repository in [bound, new] {
        let (code, said) = repository.told(&["apply", ".", "--dry-run"]);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains(".git/modules/sub/") && said.contains("it belongs to git"),
            "{said}"
        );
        assert_eq!(repository.told(&["apply", "--all"]).0, 0);
        assert_eq!(state(&repository), AFTER);
    }
}
