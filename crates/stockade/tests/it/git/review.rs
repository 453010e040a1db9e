//! What `diff` tells of commits.

use super::Repository;

const WORK: &str = r#"
echo 6 >> a; git commit -qam "$(printf 'add \033[31msix')"
git checkout -qb feature; echo new > n; git add n; git commit -qm 'a new file'
git tag v1; git branch gone main; git branch -D -q gone
"#;

#[test]
fn commits_come_first_with_their_subjects_and_git_files_are_one_line() {
    let repository = Repository::new();
    repository.inside(WORK);
    for form in [&["diff"][..], &["diff", "--stat"]] {
        let (code, said) = repository.told(form);
        assert_eq!(code, 0, "{said}");
        assert!(said.starts_with("# .git: commits were made inside"), "{said}");
        assert!(
            said.contains("main: 1 new commit\n") && said.contains("feature: new, 2 new commits"),
            "{said}"
        );
        assert!(
            said.contains("checked out: main → feature") && said.contains("tag v1: new"),
            "{said}"
        );
        assert!(
            said.contains(r"add \u{1b}[31msix") && !said.contains('\u{1b}'),
            "{said}"
        );
        assert!(
            !said.contains(".git/objects") && !said.contains("git's own data"),
            "{said}"
        );
    }
}

#[test]
fn programs_and_browsers_are_told_the_same() {
    let repository = Repository::new();
    repository.inside(WORK);
    let told: serde_json::Value =
        serde_json::from_str(&repository.told(&["diff", "--json"]).1).expect("JSON");
    let refs = told["git"][0]["refs"].as_array().expect("references");
    let main = refs
        .iter()
        .find(|one| one["name"] == "refs/heads/main")
        .expect("main");
    assert_eq!((&main["fate"], &main["commits"]), (&"forward".into(), &1.into()));
    let (_, page) = repository.told(&["diff", "--html", "-"]);
    assert!(
        page.contains("a new file") && page.contains("feature: new"),
        "{page}"
    );
}

#[test]
fn a_rewritten_and_a_deleted_branch_are_called_so() {
    let repository = Repository::new();
    repository.git(&["branch", "old"]);
    repository.git(&["pack-refs", "--all"]);
    repository.inside("git commit -q --amend -m other; git branch -D -q old");
    let (_, said) = repository.told(&["diff"]);
    assert!(
        said.contains("main: REWRITTEN, 1 new commit") && said.contains("old: DELETED"),
        "{said}"
    );
}

#[test]
fn what_was_packed_inside_is_read_too() {
    let repository = Repository::new();
    repository.git(&["gc", "-q"]);
    repository.inside("for i in 1 2 3; do echo $i >> a; git commit -qam c$i; done; git gc -q");
    let (_, said) = repository.told(&["diff"]);
    assert!(
        said.contains("main: 3 new commits") && said.contains(" c3"),
        "{said}"
    );
}

#[test]
fn forms_that_are_not_understood_are_files_and_it_is_said_why() {
    let repository = Repository::new();
    std::fs::remove_dir_all(repository.path(".git")).expect("removed");
    repository.git(&["init", "-q", "--object-format=sha256"]);
    repository.inside("echo 2 >> a; git add a; git commit -qm x");
    let (_, said) = repository.told(&["diff", "--stat"]);
    assert!(
        said.contains(".git: shown as files, not as commits: its objects are not named by SHA-1"),
        "{said}"
    );
    assert!(said.contains("git's own data"), "{said}");
}
