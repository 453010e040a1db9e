//! Patches, against real git.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use stockade_workspace::{Patch, ScanLimits, Trees, Wish};

use super::{Dirs, dirs, whiteout};

pub fn everything() -> Wish {
    Wish {
        limits: ScanLimits::LIST,
        paths: Vec::new(),
        ignored: true,
        live: false,
    }
}

fn patch(dirs: &Dirs) -> Patch {
    let trees = Trees::open(&dirs.upper, &dirs.lower).expect("trees");
    let review = trees.review(&everything()).expect("a review");
    trees.patch(&review).expect("a patch")
}

/// Applies a patch with real git to a copy of the workspace.
fn apply(dirs: &Dirs, patch: &Patch) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a copy");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(dirs.lower.join("."))
        .arg(copy.path())
        .status();
    assert!(copied.expect("cp").success());
    let file = dirs._root.path().join("patch");
    fs::write(&file, &patch.bytes).expect("the patch");
    if patch.bytes.is_empty() {
        return copy;
    }
    let applied = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(&file)
        .env("GIT_CEILING_DIRECTORIES", copy.path().parent().expect("a parent"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(copy.path())
        .output()
        .expect("git");
    assert!(
        applied.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&applied.stderr),
        String::from_utf8_lossy(&patch.bytes)
    );
    copy
}

/// Files and links with what git keeps of them.
fn files(root: &Path) -> BTreeMap<Vec<u8>, (char, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("metadata");
            let name = path
                .strip_prefix(root)
                .expect("below")
                .as_os_str()
                .as_bytes()
                .to_vec();
            if meta.is_dir() {
                pending.push(path);
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                found.insert(name, ('l', target.as_os_str().as_bytes().to_vec()));
            } else if meta.is_file() {
                let kind = if meta.permissions().mode() & 0o100 != 0 {
                    'x'
                } else {
                    'f'
                };
                found.insert(name, (kind, fs::read(&path).expect("content")));
            }
        }
    }
    found
}

#[test]
fn git_takes_every_kind_of_change() {
    let dirs = dirs();
    let text: String = (0..40).map(|number| format!("line {number}\n")).collect();
    for (name, content) in [
        ("changed", text.as_str()),
        ("moved from here", text.as_str()),
        ("gone", "x\n"),
        ("no newline", "a\nb"),
        ("mode", "#!/bin/sh\n"),
        ("to a link", "file"),
    ] {
        fs::write(dirs.lower.join(name), content).expect("before");
    }
    fs::write(dirs.lower.join("binary"), b"\0\x01\x02").expect("before");
    fs::create_dir(dirs.lower.join("dir")).expect("dir");
    fs::write(dirs.lower.join("dir/inner"), "inner\n").expect("inner");
    let upper = &dirs.upper;
    fs::write(
        upper.join("changed"),
        text.replace("line 7\n", "seven\n").replace("line 30\n", ""),
    )
    .expect("after");
    for name in ["gone", "moved from here", "dir"] {
        whiteout(&upper.join(name));
    }
    fs::create_dir(upper.join("new")).expect("new");
    fs::write(upper.join("new/moved here"), text.replace("line 3\n", "three\n")).expect("after");
    fs::write(upper.join("no newline"), "a\nc").expect("after");
    fs::write(upper.join("mode"), "#!/bin/sh\n").expect("after");
    fs::set_permissions(upper.join("mode"), fs::Permissions::from_mode(0o755)).expect("mode");
    symlink("changed", upper.join("to a link")).expect("a link");
    fs::write(upper.join("binary"), [0, 1, 255, 254, 10].repeat(100)).expect("after");
    fs::write(upper.join("empty"), "").expect("after");
    fs::write(upper.join("tab\tquote\"new\nline\\"), "odd\n").expect("after");
    fs::write(upper.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "odd\n").expect("after");
    let patch = patch(&dirs);
    assert_eq!(patch.left, []);
    let text = String::from_utf8_lossy(&patch.bytes).into_owned();
    for part in [
        "rename from moved from here",
        "GIT binary patch",
        "old mode 100644",
        "\"b/\\377\\376\"",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let applied = files(apply(&dirs, &patch).path());
    let mut expected = files(&dirs.lower);
    for gone in ["gone", "moved from here", "dir/inner"] {
        expected.remove(gone.as_bytes());
    }
    let mut inside = files(upper);
    inside.retain(|name, _| {
        !["gone", "moved from here", "dir"]
            .iter()
            .any(|gone| gone.as_bytes() == name.as_slice())
    });
    expected.extend(inside);
    assert_eq!(applied, expected);
}

#[test]
fn what_git_cannot_say_is_named() {
    let dirs = dirs();
    fs::create_dir_all(dirs.upper.join(".git/hooks")).expect("hooks");
    fs::write(dirs.upper.join(".git/hooks/pre-commit"), "evil").expect("a hook");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dirs.upper.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    let patch = patch(&dirs);
    assert_eq!(patch.bytes, b"");
    let named: Vec<&Path> = patch.left.iter().map(|left| left.path.as_path()).collect();
    assert!(
        named.contains(&Path::new("pipe")) && named.contains(&Path::new(".git/hooks/pre-commit")),
        "{named:?}"
    );
}

/// A file of a random tree.
#[derive(Clone, Debug)]
enum Node {
    Text(Vec<u8>),
    Program(Vec<u8>),
    Link(String),
}

fn node() -> impl Strategy<Value = Node> {
    let line = prop::sample::select(vec![
        "a\n", "b\n", "c\n", "\u{e9}\n", "-- x\n", "+++ y\n", "\n", "last",
    ]);
    let text = prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes());
    prop_oneof![
        4 => text.clone().prop_map(Node::Text),
        1 => text.prop_map(Node::Program),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Node::Text),
        1 => "[a-z]{1,5}".prop_map(Node::Link),
    ]
}

type Tree = BTreeMap<String, Node>;

/// Names of one level that are never a file here and a directory there in the same tree.
fn tree() -> impl Strategy<Value = Tree> {
    let name = prop::sample::select(vec![
        "a", "b", "d/a", "d/b", "d/e/c", "f", "sp ace", "q\"uote", "\u{e9}",
    ]);
    prop::collection::btree_map(name.prop_map(str::to_owned), node(), 0..7)
}

fn write(root: &Path, name: &str, node: &Node) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    let (mode, content) = match node {
        Node::Link(target) => return symlink(target, path).expect("a link"),
        Node::Text(content) => (0o644, content),
        Node::Program(content) => (0o755, content),
    };
    fs::write(&path, content).expect("content");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn git_makes_the_tree_inside_of_any_two_trees(before in tree(), after in tree()) {
        let dirs = dirs();
        before.iter().for_each(|(name, node)| write(&dirs.lower, name, node));
        after.iter().for_each(|(name, node)| write(&dirs.upper, name, node));
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            fs::create_dir_all(dirs.upper.join(name).parent().expect("a parent")).expect("directories");
            whiteout(&dirs.upper.join(name));
        }
        let applied = files(apply(&dirs, &patch(&dirs)).path());
        let wanted = tempfile::tempdir().expect("a tree");
        after.iter().for_each(|(name, node)| write(wanted.path(), name, node));
        prop_assert_eq!(applied, files(wanted.path()));
    }
}
