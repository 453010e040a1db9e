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

/// The control: with a yes it is as it was inside, and an undo brings it back.
#[test]
fn a_repository_that_is_gone_inside_is_removed_only_after_a_yes() {
    for script in [
        "rm -rf .git",
        "mv .git kept",
        "rm -rf .git; echo 'gitdir: x' > .git",
        "rm -rf .git; ln -s x .git",
        "rm -rf sub",
    ] {
        let repository = Repository::new();
        repository.git(&["init", "-q", "sub"]);
        repository.git(&["-C", "sub", "commit", "-q", "--allow-empty", "-m", "below"]);
        repository.inside(&format!("{script}; echo new > plain"));
        let (_, said) = repository.told(&["diff", "--stat"]);
        assert!(
            said.contains(".git: ") && said.contains("a repository is removed"),
            "{script}: {said}"
        );
        assert_eq!(repository.told(&["apply", "--safe"]).0, 1, "{script}");
        let (code, said) = repository.told(&["apply", "."]);
        assert_eq!(code, 1, "{script}: {said}");
        assert_eq!(repository.read("plain"), "new\n", "{script}: {said}");
        for (place, subject) in [(".", "first"), ("sub", "below")] {
            assert_eq!(
                repository.git(&["-C", place, "log", "--format=%s"]),
                subject,
                "{script}"
            );
            repository.git(&["-C", place, "fsck", "--strict"]);
        }
        let (code, said) = repository.told(&["apply", "--all"]);
        assert_eq!(code, 0, "{script}: {said}");
        let gone = if script.contains("sub") { "sub" } else { ".git" };
        assert!(!repository.path(gone).join("HEAD").exists() && !repository.path(gone).join(".git").exists());
        assert_eq!(repository.told(&["undo"]).0, 0, "{script}");
        assert_eq!(repository.git(&["log", "--format=%s"]), "first", "{script}");
    }
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
            "git config core.repositoryformatversion 1; git config extensions.objectformat sha256",
            "its objects are not named by SHA-1",
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
        let (code, said) = repository.told(&["apply", "--safe"]);
        assert_eq!(code, 1, "{script}: {said}");
        repository.told(&["apply", "."]);
        assert!(
            fs::symlink_metadata(repository.path(".git/objects"))
                .expect("objects")
                .is_dir(),
            "{script}"
        );
        assert_eq!(repository.git(&["log", "--format=%s"]), "first", "{script}");
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

#[test]
fn alternates_made_inside_are_never_taken_and_what_they_hide_is_missed() {
    let repository = Repository::new();
    repository.inside(
        "cp -r .git/objects /tmp/o; mkdir -p .git/objects/info; echo /tmp/o > .git/objects/info/alternates
         export GIT_OBJECT_DIRECTORY=/tmp/o; echo 2 >> b; git commit -qam hidden",
    );
    for arguments in [
        &["apply", "--all"][..],
        &["apply", ".git/objects/info/alternates"],
    ] {
        let (code, said) = repository.told(arguments);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("never applied: git would look for objects elsewhere"),
            "{said}"
        );
    }
    assert!(!repository.path(".git/objects/info/alternates").exists());
    assert_eq!(repository.git(&["log", "--all", "--format=%s"]), "first");
    repository.git(&["fsck", "--strict"]);
}

/// A program that writes an index with one entry of any path; git itself refuses to.
const INDEX: &str = r#"
import hashlib, struct, subprocess
blob = subprocess.check_output(["git", "rev-parse", "HEAD:a"], text=True).strip()
path = b"PATH"
entry = struct.pack(">10I", 0, 0, 0, 0, 0, 0, 0o100644, 0, 0, 0) + bytes.fromhex(blob) + struct.pack(">H", len(path)) + path
entry += b"\0" * (8 - len(entry) % 8)
data = b"DIRC" + struct.pack(">II", 2, 1) + entry
open(".git/index", "wb").write(data + hashlib.sha1(data).digest())
"#;

#[test]
fn an_index_with_paths_that_lead_elsewhere_is_refused() {
    for (path, is_refused) in [
        ("../x", true),
        (".git/hooks/x", true),
        ("/x", true),
        ("a/../x", true),
        (".GIT/x", true),
        ("ok/x", false),
    ] {
        let repository = Repository::new();
        let script = INDEX.replace("PATH", path);
        repository.inside(&format!(
            "cat > /tmp/i.py <<'END'\n{script}\nEND\npython3 /tmp/i.py"
        ));
        let (code, said) = repository.told(&["apply", "--all"]);
        assert_eq!(
            said.contains("it holds a path that is not allowed"),
            is_refused,
            "{path}: {said}"
        );
        assert_eq!(code, i32::from(is_refused), "{path}: {said}");
        let staged = repository.git(&["ls-files"]);
        assert_eq!(staged, if is_refused { "a\nb" } else { "ok/x" }, "{path}");
    }
}

#[test]
fn flags_that_say_not_to_look_at_a_file_are_not_taken() {
    let repository = Repository::new();
    repository.inside("git update-index --assume-unchanged a; git update-index --skip-worktree b; echo n > n; git add n; git commit -qm n; echo evil >> a; echo evil >> b");
    let (code, said) = repository.told(&["apply", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(repository.git(&["status", "--porcelain"]), " M a\n M b");
    assert!(
        repository
            .git(&["ls-files", "-v"])
            .lines()
            .all(|line| line.starts_with('H'))
    );
}

/// A commit whose tree has one entry of any name.
const TREE: &str = r#"
import subprocess
def git(*words, data=None): return subprocess.run(["git", *words], input=data, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
tree = b"100644 NAME\0" + bytes.fromhex(git("rev-parse", "HEAD:a"))
tree = git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=tree)
git("update-ref", "refs/heads/evil", git("commit-tree", "-m", "evil", tree))
"#;

#[test]
fn a_tree_that_would_be_checked_out_elsewhere_is_refused() {
    for name in ["..", ".git", ".gIt", "git~1"] {
        let repository = Repository::new();
        let script = TREE.replace("NAME", name);
        repository.inside(&format!(
            "cat > /tmp/t.py <<'END'\n{script}\nEND\npython3 /tmp/t.py"
        ));
        let (code, said) = repository.told(&["apply", "--all"]);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains("a name that is not allowed"), "{name}: {said}");
        assert!(repository.git(&["branch", "--list", "evil"]).is_empty());
    }
}

/// A pack with an object that a few hundred bytes make into 640 MiB, and one that says it is
/// larger than any disk.
const BOMBS: &str = r#"
import hashlib, os, struct, subprocess, zlib
def head(kind, size):
    first, size = (kind << 4) | (size & 15), size >> 4
    out = []
    while size: out.append(first | 128); first, size = size & 127, size >> 7
    return bytes(out + [first])
def number(n):
    out = []
    while n > 127: out.append(n & 127 | 128); n >>= 7
    return bytes(out + [n])
base, pieces = bytes(16 << 20), 40
delta = number(len(base)) + number(pieces * 0xffffff) + b"\xf0\xff\xff\xff" * pieces
pack = b"PACK" + struct.pack(">II", 2, 3)
places = []
for body in (head(3, len(base)) + zlib.compress(base), None, head(3, 1 << 45) + zlib.compress(b"x")):
    places.append(len(pack))
    if body is None:
        back, distance = places[1] - places[0], b""
        distance = bytes([back & 127]); back >>= 7
        while back: back -= 1; distance = bytes([back & 127 | 128]) + distance; back >>= 7
        body = head(6, len(delta)) + distance + zlib.compress(delta)
    pack += body
pack += hashlib.sha1(pack).digest()
names = [bytes([n]) * 20 for n in (0x11, 0x22, 0x33)]
fan = b"".join(struct.pack(">I", sum(name[0] <= n for name in names)) for n in range(256))
index = b"\xfftOc" + struct.pack(">I", 2) + fan + b"".join(names) + bytes(12) + b"".join(struct.pack(">I", at) for at in places)
index += pack[-20:]
index += hashlib.sha1(index).digest()
os.makedirs(".git/objects/pack", exist_ok=True)
open(".git/objects/pack/pack-b.pack", "wb").write(pack)
open(".git/objects/pack/pack-b.idx", "wb").write(index)
os.makedirs(".git/objects/44", exist_ok=True)
open(".git/objects/44/" + "44" * 19, "wb").write(zlib.compress(b"blob 17592186044416\0"))
os.makedirs(".git/objects/55", exist_ok=True)
open(".git/objects/55/" + "55" * 19, "wb").write(zlib.compress(b"blob 5\0" + bytes(1 << 28)))
"#;

#[test]
fn objects_that_grow_without_end_are_refused_before_they_do() {
    for (name, why) in [
        ("11", "holds something else than its name says"),
        ("22", "cannot be taken out of"),
        ("33", "is larger than 256 MiB"),
        ("44", "is larger than 512 MiB"),
        ("55", "has another size than it says"),
    ] {
        let repository = Repository::new();
        repository.inside(&format!(
            "cat > /tmp/b.py <<'END'\n{BOMBS}\nEND\npython3 /tmp/b.py; echo {} > .git/refs/tags/bomb",
            name.repeat(20)
        ));
        let (code, said) = repository.told(&["apply", "--all"]);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
        assert!(repository.git(&["tag"]).is_empty());
        repository.git(&["fsck", "--strict"]);
    }
}
