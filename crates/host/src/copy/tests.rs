use proptest::prelude::*;

use super::link::stays_within;

#[test]
fn links_stay_within_the_copy() {
    for (target, depth) in [
        ("a", 0),
        ("./a/b", 0),
        ("../a", 1),
        ("../../x/y", 2),
        ("a//b", 0),
        ("..", 1),
    ] {
        assert!(stays_within(target.as_bytes(), depth), "{target} at {depth}");
    }
    for (target, depth) in [
        ("/etc/passwd", 5),
        ("..", 0),
        ("../a", 0),
        ("a/../b", 3),
        ("../a/..", 2),
        ("", 0),
    ] {
        assert!(!stays_within(target.as_bytes(), depth), "{target} at {depth}");
    }
}

proptest! {
    /// Whatever links are made in a tree, none of them resolves to something outside.
    #[test]
    fn no_tree_of_links_leads_out(
        links in proptest::collection::vec((0_usize..4, "[ab]", "(\\.\\./){0,3}[ab/.]{0,8}"), 1..12)
    ) {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap().join("top");
        let directories = ["", "d", "d/e", "d/e/f"];
        std::fs::create_dir_all(top.join("d/e/f")).unwrap();
        for (depth, name, target) in links {
            let path = top.join(directories[depth]).join(name);
            if stays_within(target.as_bytes(), depth) {
                let _ = std::os::unix::fs::symlink(&target, &path);
            }
        }
        for directory in directories {
            for entry in std::fs::read_dir(top.join(directory)).unwrap() {
                if let Ok(real) = entry.unwrap().path().canonicalize() {
                    prop_assert!(real.starts_with(&top), "{real:?}");
                }
            }
        }
    }
}
