//! Repositories that were made to harm whoever looks at them. A canary tells whether anything
//! was executed; plain git shows that it would be.

use std::fs;

use super::Repository;

/// Programs that git would run on the host, named in every way there is.
const TRAPS: &str = r#"
canary="$1"
printf '#!/bin/sh\ntouch %s\ncat\n' "$canary" > .git/evil; chmod +x .git/evil
git config core.fsmonitor "$PWD/.git/evil"
git config filter.evil.clean "$PWD/.git/evil"; git config filter.evil.smudge "$PWD/.git/evil"
git config filter.evil.required true
git config core.pager "$PWD/.git/evil"; git config core.sshCommand "$PWD/.git/evil"
git config diff.external "$PWD/.git/evil"; git config core.hooksPath "$PWD/.git"
git config includeIf.gitdir:/.path "$PWD/.git/more"; git config -f .git/more core.editor "$PWD/.git/evil"
echo '* filter=evil' > .gitattributes
for hook in post-checkout reference-transaction post-index-change pre-commit post-commit; do cp .git/evil .git/hooks/$hook; cp .git/evil .git/$hook; done
"#;

#[test]
fn nothing_that_a_repository_names_is_executed_and_plain_git_would() {
    let repository = Repository::new();
    let canary = repository.world.path("canary");
    let script = TRAPS.replace("$1", canary.to_str().expect("UTF-8"));
    repository.inside(&format!(
        "echo 2 >> a; git commit -qam work\n{script}\nrm -f \"$canary\""
    ));
    for form in [
        &["diff"][..],
        &["diff", "--stat"],
        &["diff", "--json"],
        &["diff", "--html", "-"],
        &["diff", "--patch", "-"],
        &["apply", "--dry-run", "--all"],
        &["apply", "--all", "--ignored"],
        &["undo"],
        &["apply", "--all", "--ignored"],
    ] {
        let (code, said) = repository.told(form);
        assert!((0..=1).contains(&code), "{form:?}: {said}");
        assert!(!canary.exists(), "{form:?}");
    }
    assert!(repository.read(".git/config").contains("fsmonitor"));
    // The control: git itself obeys what was applied now.
    repository.try_git(&["status"]);
    assert!(canary.exists(), "the traps are none");
}

#[test]
fn objects_that_are_not_what_their_name_says_are_told() {
    let repository = Repository::new();
    repository.inside(
        "echo 2 >> a; git commit -qam one; one=$(git rev-parse HEAD); echo 3 >> a; git commit -qam two
         path() { echo .git/objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }
         two=$(git rev-parse HEAD); chmod +w $(path $two); cp $(path $one) $(path $two)",
    );
    let (_, said) = repository.told(&["diff"]);
    assert!(said.contains("holds something else than its name says"), "{said}");
}

#[test]
fn links_and_alternates_in_a_repository_are_not_followed() {
    let repository = Repository::new();
    let elsewhere = repository.world.path("elsewhere");
    fs::create_dir_all(&elsewhere).expect("elsewhere");
    for (script, why) in [
        (
            "mv .git/objects .git/o; ln -s ELSE .git/objects",
            "its objects is a link",
        ),
        (
            "rm -rf .git/refs/heads; ln -s ELSE .git/refs/heads",
            "its refs/heads is a link",
        ),
        ("rm .git/HEAD; ln -s ELSE/HEAD .git/HEAD", "its HEAD is a link"),
        (
            "mkdir -p .git/objects/info; echo ELSE > .git/objects/info/alternates",
            "alternates were set up inside",
        ),
        (
            "rm .git/refs/heads/main; ln -s ELSE/x .git/refs/heads/main",
            "it is a link or a special file",
        ),
    ] {
        let script = script.replace("ELSE", elsewhere.to_str().expect("UTF-8"));
        repository.inside(&script);
        let (_, said) = repository.told(&["diff"]);
        assert!(said.contains(why), "{script}: {said}");
        repository.told(&["discard", "--yes"]);
    }
}

#[test]
fn references_with_names_that_lead_elsewhere_are_left_alone() {
    let repository = Repository::new();
    repository.inside(
        "head=$(git rev-parse HEAD); mkdir -p '.git/refs/heads/a..b'; echo $head > '.git/refs/heads/a..b/x'; echo $head > '.git/refs/heads/x.lock.y~1'
         mkdir -p .git/refs/replace; echo $head > .git/refs/replace/$head; echo 'ref: refs/heads/main' > .git/refs/heads/other",
    );
    let (_, said) = repository.told(&["diff"]);
    assert!(
        said.contains("its name is not allowed") && said.contains("it would show other content"),
        "{said}"
    );
    assert!(said.contains("it is a name for another reference"), "{said}");
}

#[test]
fn packed_references_that_are_too_many_are_refused() {
    let repository = Repository::new();
    repository.inside(
        "head=$(git rev-parse HEAD); i=0; seq 1 120000 | sed \"s,.*,$head refs/tags/t&,\" | sort -k2 > .git/packed-refs",
    );
    let (_, said) = repository.told(&["diff"]);
    assert!(
        said.contains("references changed inside: more than 100000"),
        "{said}"
    );
}
