//! Commits taken over to the host, and taken back.

use std::fs;

use super::Repository;
use crate::pty::Terminal;

/// What is said about the tree, as git itself sees it.
fn state(repository: &Repository) -> (String, String, String) {
    (
        repository.git(&["status", "--porcelain=v1", "-b"]),
        repository.git(&["for-each-ref", "--format=%(refname) %(objectname)"]),
        repository.git(&["log", "--format=%s", "--all", "--date-order"]),
    )
}

fn is_sound(repository: &Repository) {
    repository.git(&["fsck", "--full", "--strict", "--no-dangling"]);
}

#[test]
fn a_branch_moves_forward_and_the_tree_is_clean_as_it_was_inside() {
    let repository = Repository::new();
    let inside = repository.inside("echo 6 >> a; git commit -qam six; echo n > n; git add n; git commit -qm new; git tag v1; git status --porcelain -b; git rev-parse HEAD");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("main: moved forward (2 new commits)") && said.contains("tag v1: made"),
        "{said}"
    );
    let outside =
        repository.git(&["status", "--porcelain", "-b"]) + "\n" + &repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(outside, inside);
    is_sound(&repository);
    assert!(!repository.told(&["diff"]).1.contains(".git"));
    // The next sandbox starts from there.
    assert_eq!(
        repository.inside("git status --porcelain; git log --format=%s"),
        "new\nsix\nfirst"
    );
}

#[test]
fn an_undo_brings_references_what_is_checked_out_and_the_index_back() {
    let repository = Repository::new();
    repository.git(&["branch", "old"]);
    let before = state(&repository);
    repository.inside("git checkout -qb feature; echo 6 >> a; git commit -qam six; git branch -D -q old; echo s >> b; git add b");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        repository.git(&["status", "--porcelain", "-b"]),
        "## feature\nM  b"
    );
    assert!(repository.git(&["branch", "--list", "old"]).is_empty());
    // Git writes the index anew when it looks at files; that is no change.
    repository.git(&["update-index", "--refresh"]);
    let (code, said) = repository.told(&["undo"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(state(&repository), before);
    is_sound(&repository);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        repository.git(&["status", "--porcelain", "-b"]),
        "## feature\nM  b"
    );
}

#[test]
fn commits_of_the_host_meanwhile_stay_and_those_from_inside_come_beside() {
    let repository = Repository::new();
    repository.inside("echo 2 >> b; git commit -qam inside");
    repository.world.file("h", "host\n");
    repository.git(&["add", "h"]);
    repository.git(&["commit", "-qm", "host"]);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("not moved, because the host moved it meanwhile"),
        "{said}"
    );
    assert_eq!(repository.git(&["log", "--format=%s", "main"]), "host\nfirst");
    let branch = repository.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/stockade"]);
    assert_eq!(repository.git(&["log", "--format=%s", &branch]), "inside\nfirst");
    // The files came, and git says so.
    assert_eq!(repository.git(&["status", "--porcelain"]), " M b");
    is_sound(&repository);
}

#[test]
fn what_was_rewritten_needs_a_yes_and_else_comes_beside() {
    let work = "git commit -q --amend -m other";
    let repository = Repository::new();
    repository.inside(work);
    assert_eq!(repository.told(&["apply", "--safe"]).0, 1);
    assert_eq!(repository.git(&["log", "--format=%s", "main"]), "first");
    let (code, said) = repository.told(&["apply", "."]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("it was rewritten inside, and that needs a yes"),
        "{said}"
    );
    assert_eq!(repository.git(&["log", "--format=%s", "main"]), "first");
    let repository = Repository::new();
    repository.inside(work);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["log", "--format=%s", "main"]), "other");
    // What was there before is found again.
    assert_eq!(repository.git(&["log", "-1", "--format=%s", "main@{1}"]), "first");
}

#[test]
fn a_deleted_branch_stays_until_somebody_says_yes() {
    let repository = Repository::new();
    repository.git(&["branch", "one"]);
    repository.git(&["branch", "two"]);
    repository.git(&["pack-refs", "--all"]);
    repository.inside("git branch -D -q one two");
    let (code, said) = repository.told(&["apply", ".git", ".git/refs/heads/one"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("one: deleted") && said.contains("two: left as it is"),
        "{said}"
    );
    assert_eq!(
        repository.git(&["branch", "--format=%(refname:short)"]),
        "main\ntwo"
    );
    is_sound(&repository);
}

#[test]
fn files_alone_leave_the_commits_pending_and_commits_alone_leave_the_tree() {
    let repository = Repository::new();
    repository.inside("echo 6 >> a; git commit -qam six; echo 2 >> b; git commit -qam two");
    let (code, said) = repository.told(&["apply", "a"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["log", "--format=%s"]), "first");
    assert_eq!(repository.git(&["status", "--porcelain"]), " M a");
    // `b` would look as if the host had taken it back.
    let (code, said) = repository.told(&["apply", ".git"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not all files come with it (b)"), "{said}");
    assert_eq!(repository.git(&["log", "--format=%s"]), "first");
    let branch = repository.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/stockade"]);
    assert_eq!(
        repository.git(&["log", "--format=%s", &branch]),
        "two\nsix\nfirst"
    );
    is_sound(&repository);
}

#[test]
fn files_first_and_commits_later_end_as_if_they_came_at_once() {
    let repository = Repository::new();
    repository.inside("echo 6 >> a; git commit -qam six; echo 2 >> b; git commit -qam two");
    assert_eq!(repository.told(&["apply", "a"]).0, 0);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["status", "--porcelain", "-b"]), "## main");
    assert_eq!(repository.git(&["log", "--format=%s"]), "two\nsix\nfirst");
}

#[test]
fn a_rebase_with_a_conflict_a_merge_a_cherry_pick_and_a_stash_come_out() {
    let repository = Repository::new();
    repository.git(&["checkout", "-qb", "topic"]);
    repository.world.file("a", "1\n2\n3\n4\n5\ntopic\n");
    repository.git(&["commit", "-qam", "topic"]);
    repository.git(&["checkout", "-q", "main"]);
    repository.world.file("a", "1\n2\n3\n4\n5\nmain\n");
    repository.git(&["commit", "-qam", "main"]);
    repository.git(&["gc", "-q"]);
    let inside = repository.inside(
        "git checkout -q topic; git rebase -q main >/dev/null 2>&1 && exit 9
         printf '1\\n2\\n3\\n4\\n5\\nmain\\ntopic\\n' > a; git add a; GIT_EDITOR=true git rebase --continue >/dev/null
         git checkout -q main; git merge -q --no-ff -m merged topic
         git checkout -qb pick main~1; git cherry-pick -x topic >/dev/null; git checkout -q main
         echo s1 >> b; git stash -q; echo s2 >> b; git stash -q
         git repack -adq; git gc -q --prune=now
         git log --format='%s,%p' --all; git stash list; git status --porcelain -b; git fsck --strict 2>&1",
    );
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    let outside = [
        repository.git(&["log", "--format=%s,%p", "--all"]),
        repository.git(&["stash", "list"]),
        repository.git(&["status", "--porcelain", "-b"]),
    ];
    assert_eq!(outside.join("\n"), inside);
    is_sound(&repository);
    assert!(
        fs::read_dir(repository.path(".git/objects/pack"))
            .expect("packs")
            .count()
            <= 4
    );
    assert_eq!(
        repository
            .git(&["stash", "show", "-p", "stash@{1}", "--format="])
            .matches("+s1")
            .count(),
        1
    );
}

#[test]
fn what_is_not_finished_inside_stays_there() {
    let repository = Repository::new();
    repository.inside("git checkout -qb t; echo t >> b; git commit -qam t; git checkout -q main; echo m >> b; git commit -qam m; git merge t >/dev/null || true");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("a merge is not finished inside: end it there first"),
        "{said}"
    );
    assert_eq!(repository.git(&["log", "--format=%s", "--all"]), "first");
    repository.inside("printf '1\\nt\\nm\\n' > b; git add b; git commit -qm merged");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["status", "--porcelain", "-b"]), "## main");
    is_sound(&repository);
}

#[test]
fn a_repository_that_is_made_inside_comes_with_settings_of_ours() {
    let repository = Repository::new();
    fs::remove_dir_all(repository.path(".git")).expect("removed");
    repository.inside(
        "git init -q; git config core.fsmonitor evil; git add .; git commit -qm inside; git stash list",
    );
    let (code, said) = repository.told(&["apply", "."]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(repository.git(&["log", "--format=%s", "--all"]), "inside");
    assert_eq!(repository.git(&["status", "--porcelain", "-b"]), "## main");
    assert!(!repository.read(".git/config").contains("evil"));
    is_sound(&repository);
    let (code, said) = repository.told(&["undo"]);
    assert_eq!(code, 0, "{said}");
    assert!(!repository.path(".git").exists());
}

#[test]
fn git_that_is_at_work_on_the_host_is_not_disturbed() {
    let repository = Repository::new();
    repository.inside("echo 6 >> a; git commit -qam six");
    repository.world.file(".git/index.lock", "");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("git is at work there"), "{said}");
    assert_eq!(repository.git(&["log", "--format=%s"]), "first");
}

#[test]
fn in_a_terminal_it_asks_about_the_commits_when_the_files_are_decided() {
    for (answer, subject) in [("y\r", "other"), ("n\r", "first")] {
        let repository = Repository::new();
        repository.inside("echo 2 >> b; git commit -qa --amend -m other");
        let mut terminal = Terminal::start(&repository.world.stockade(&["apply"]));
        terminal.expect("apply these 1");
        terminal.keys("y\r");
        terminal.expect("main: rewritten");
        terminal.expect("take over the commits of .git?");
        terminal.keys(answer);
        terminal.expect("applied 1 change");
        assert_eq!(terminal.end(), 0);
        assert_eq!(repository.git(&["log", "--format=%s"]), subject);
        // A no leaves them pending.
        let is_pending = repository.told(&["diff"]).1.contains("main: REWRITTEN");
        assert_eq!(is_pending, subject == "first");
    }
}

#[test]
fn commits_are_discarded_and_brought_back_like_files() {
    let repository = Repository::new();
    repository.inside("echo 2 >> b; git commit -qam work");
    assert_eq!(repository.told(&["discard", "--yes"]).0, 0);
    assert!(!repository.told(&["diff"]).1.contains("work"));
    assert_eq!(repository.told(&["undo"]).0, 0);
    assert_eq!(
        repository.inside("git log --format=%s; git status --porcelain"),
        "work\nfirst"
    );
}

#[test]
fn what_the_host_only_looked_at_is_no_change_and_what_it_staged_is_kept() {
    let work = "echo 2 >> b; git commit -qam work";
    let repository = Repository::new();
    repository.inside(work);
    fs::File::open(repository.path("a"))
        .expect("a")
        .set_modified(std::time::SystemTime::now())
        .expect("a time");
    repository.git(&["status"]);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["status", "--porcelain", "-b"]), "## main");
    let repository = Repository::new();
    repository.inside(work);
    repository.world.file("h", "host\n");
    repository.git(&["add", "h"]);
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the host staged something meanwhile"), "{said}");
    assert_eq!(
        repository.git(&["status", "--porcelain"]),
        "M b\nA  h".replacen('M', " M", 1)
    );
}

#[test]
fn a_first_commit_and_a_detached_head_come_as_they_are() {
    let repository = Repository::new();
    fs::remove_dir_all(repository.path(".git")).expect("removed");
    repository.git(&["init", "-q"]);
    repository.inside("git add .; git commit -qm one; echo 2 >> b; git commit -qam two; git checkout -q --detach HEAD~1; git commit -q --allow-empty -m detached");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["log", "--format=%s"]), "detached\none");
    assert_eq!(repository.git(&["log", "--format=%s", "main"]), "two\none");
    assert_eq!(
        repository.git(&["status", "--porcelain", "-b"]),
        "## HEAD (no branch)"
    );
    assert_eq!(repository.told(&["undo"]).0, 0);
    assert_eq!(
        repository.git(&["status", "--porcelain", "-b"]),
        "## No commits yet on main\n?? a\n?? b"
    );
}

#[test]
fn a_sparse_checkout_of_the_host_stays_sparse() {
    let repository = Repository::new();
    fs::create_dir(repository.path("d")).expect("d");
    repository.world.file("d/x", "x\n");
    repository.git(&["add", "."]);
    repository.git(&["commit", "-qm", "second"]);
    repository.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/d/"]);
    assert!(!repository.path("d").exists());
    repository.inside("echo 2 >> b; git commit -qam third");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["status", "--porcelain", "-b"]), "## main");
    assert!(repository.git(&["ls-files", "-v"]).contains("S d/x"));
}

#[test]
fn an_undo_does_not_take_commits_of_the_host_away() {
    let repository = Repository::new();
    repository.inside("echo 2 >> b; git commit -qam work");
    assert_eq!(repository.told(&["apply", "--all"]).0, 0);
    repository.git(&["commit", "-q", "--allow-empty", "-m", "on top"]);
    let (code, said) = repository.told(&["undo"]);
    assert_eq!(code, 125, "{said}");
    assert!(
        said.contains(".git/refs/heads/main") && said.contains("changed on the host since"),
        "{said}"
    );
    assert_eq!(repository.git(&["log", "--format=%s"]), "on top\nwork\nfirst");
}

#[test]
fn several_branches_that_do_not_fit_keep_their_names_beside() {
    let repository = Repository::new();
    repository.git(&["branch", "topic"]);
    let odd = r"$(printf 'od\377d')";
    repository.inside(&format!(
        "echo 2 >> b; git commit -qam main; git checkout -q topic; git commit -q --allow-empty -m topic; git branch \"{odd}\""
    ));
    for branch in ["topic", "main"] {
        repository.git(&["checkout", "-q", branch]);
        repository.git(&["commit", "-q", "--allow-empty", "-m", "host"]);
    }
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 1, "{said}");
    let names = repository.git(&[
        "for-each-ref",
        "--format=%(refname:lstrip=2) %(subject)",
        "refs/heads/stockade",
    ]);
    let names: Vec<&str> = names.lines().filter_map(|line| line.rsplit('/').next()).collect();
    assert_eq!(names, ["main main", "topic topic"], "{said}");
    assert!(
        said.contains(r"od\\xffd: made") || said.contains(r"od\xffd: made"),
        "{said}"
    );
    is_sound(&repository);
}
