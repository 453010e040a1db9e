//! A thousand ways of moving what is protected in a workspace that is written in place.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Yard;

/// What is protected, and the directory above some of it.
const PROTECTED: [&str; 6] = [
    ".git",
    ".git/hooks",
    ".git/config",
    ".vscode",
    ".claude",
    ".mcp.json",
];
/// What is not.
const FREE: [&str; 2] = ["dir", "plain"];
/// Tries for each of the two lists.
const TRIES: usize = 1_000;

/// Moves the named paths away, puts others in their places, and exchanges them, also by a descriptor of the
/// directory; prints how often it tried and how often that went well. What went well is moved back.
const ATTACK: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
EXCHANGE, WHITEOUT = 2, 4
wanted, paths = int(sys.argv[1]), sys.argv[2:]
here = os.open(".", os.O_RDONLY)
def move(at, old, new, flags):
    return libc.renameat2(at, old.encode(), at, new.encode(), flags) == 0
os.makedirs("decoy-dir/hooks")
for name in ("decoy-file", "decoy-dir/config", "decoy-dir/hooks/pre-commit", "decoy-dir/tasks.json"):
    open(name, "w").write("evil")
tries = hits = 0
while tries < wanted:
    for path in paths:
        decoy = "decoy-dir" if os.path.isdir(path) else "decoy-file"
        for at in (-100, here):
            for old, new, flags in (
                (path, "away", 0), (path, "away", 1), (path, "away", WHITEOUT),
                (path, decoy, EXCHANGE), (decoy, path, EXCHANGE), (decoy, path, 0),
            ):
                tries += 1
                if move(at, old, new, flags):
                    hits += 1
                    if flags == EXCHANGE:
                        move(at, old, new, flags)
                    else:
                        if flags == WHITEOUT:
                            os.remove(old)
                        move(at, new, old, 0)
print(min(tries, wanted), hits)
"#;

fn prepare() -> Yard {
    let yard = Yard::new();
    for directory in [".git/hooks", ".vscode", ".claude", "dir"] {
        fs::create_dir_all(yard.project().join(directory)).expect("a directory");
    }
    for name in [
        ".git/config",
        ".git/hooks/pre-commit",
        ".vscode/tasks.json",
        ".claude/settings.json",
        ".mcp.json",
        "plain",
        "dir/file",
    ] {
        yard.file(name, "1\n");
    }
    yard
}

/// What stands at a path: inode and content, of a directory with all that is in it.
fn exactly(path: &Path) -> Vec<(std::path::PathBuf, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let inode = fs::symlink_metadata(path).expect("it is there").ino();
    let mut all = vec![(path.to_owned(), inode, fs::read(path).unwrap_or_default())];
    for entry in fs::read_dir(path).into_iter().flatten() {
        all.extend(exactly(&entry.expect("an entry").path()));
    }
    all.sort();
    all
}

/// Tries and successes, in the mode `live`.
fn attack_inside(yard: &Yard, paths: &[&str]) -> (usize, usize) {
    let words = [
        "run",
        "-q",
        "--workspace-mode",
        "live",
        "--",
        "python3",
        "-c",
        ATTACK,
    ];
    let count = TRIES.to_string();
    numbers(&yard.ok(&[&words[..], &[&count], paths].concat()))
}

fn numbers(text: &str) -> (usize, usize) {
    let numbers: Vec<usize> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [tries, hits] = numbers.as_slice() else {
        unreachable!("{text}");
    };
    (*tries, *hits)
}

#[test]
fn what_is_protected_stays_in_its_place_through_a_thousand_renames() {
    let yard = prepare();
    let kept = || PROTECTED.map(|name| exactly(&yard.project().join(name)));
    let before = kept();
    assert_eq!(attack_inside(&yard, &PROTECTED), (TRIES, 0));
    assert_eq!(kept(), before);
    clear(&yard);
    // The controls: the same program moves what is not protected, and outside all of it.
    let (tries, hits) = attack_inside(&yard, &FREE);
    assert!(tries == TRIES && hits > TRIES / 2, "{hits} of {tries}");
    assert_eq!(kept(), before);
    clear(&yard);
    let output = Command::new("python3")
        .args(["-c", ATTACK, &TRIES.to_string()])
        .args(PROTECTED)
        .current_dir(yard.project())
        .output()
        .expect("python3 runs");
    let (tries, hits) = numbers(&String::from_utf8_lossy(&output.stdout));
    assert!(tries == TRIES && hits > TRIES / 2, "{hits} of {tries}");
}

fn clear(yard: &Yard) {
    fs::remove_dir_all(yard.project().join("decoy-dir")).expect("a decoy");
    fs::remove_file(yard.project().join("decoy-file")).expect("a decoy");
}
