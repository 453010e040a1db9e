//! Random trees: what is applied is what stands inside, and an undo brings back every file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::super::whiteout;
use super::set_mode;
use super::world::{World, contents, exactly};

/// A node of a model.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    File(String, u32),
    Link(String),
    /// Its permission bits, whether an overlay would write it anew as a whole, what is in it.
    Directory(u32, bool, BTreeMap<String, Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => ("[a-c]{0,3}", prop_oneof![Just(0o644), Just(0o755), Just(0o600)])
            .prop_map(|(content, mode)| Node::File(content, mode)),
        1 => "[a-c/.]{1,4}".prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        (
            prop_oneof![3 => Just(0o755), 1 => Just(0o555)],
            any::<bool>(),
            children(inner),
        )
            .prop_map(|(mode, is_opaque, children)| Node::Directory(mode, is_opaque, children))
    })
}

fn children(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = BTreeMap<String, Node>> {
    // Few names, so that both trees have the same ones often; some are none that a person gives.
    let name = prop_oneof![
        Just("a"),
        Just("b"),
        Just("b.c"),
        Just("é"),
        Just("x\ny"),
        Just("-rf")
    ];
    proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..5)
}

fn make(at: &Path, children: &BTreeMap<String, Node>) {
    for (name, node) in children {
        make_one(&at.join(name), node);
    }
}

fn make_one(path: &Path, node: &Node) {
    match node {
        Node::File(content, mode) => {
            fs::write(path, content).expect("a file");
            set_mode(path, *mode);
        }
        Node::Link(target) => symlink(target, path).expect("a link"),
        Node::Directory(mode, _, children) => {
            fs::create_dir(path).expect("a directory");
            make(path, children);
            set_mode(path, *mode);
        }
    }
}

/// Writes what an overlay would hold that makes one tree look like the other.
fn make_upper(at: &Path, before: &BTreeMap<String, Node>, after: &BTreeMap<String, Node>) {
    for (name, old) in before {
        let path = at.join(name);
        match (old, after.get(name)) {
            (_, None) => whiteout(&path),
            (old, Some(new)) if old == new => {}
            (Node::Directory(_, _, old), Some(Node::Directory(mode, is_opaque, new))) => {
                fs::create_dir(&path).expect("a directory");
                if *is_opaque && make_opaque(&path) {
                    make(&path, new);
                } else {
                    make_upper(&path, old, new);
                }
                set_mode(&path, *mode);
            }
            (_, Some(new)) => make_one(&path, new),
        }
    }
    for (name, new) in after {
        if !before.contains_key(name) {
            make_one(&at.join(name), new);
        }
    }
}

/// False where the file system has no such attributes.
pub fn make_opaque(path: &Path) -> bool {
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, "user.overlay.opaque", b"y", none).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_applied_is_what_stands_inside_and_an_undo_brings_back_all(
        before in children(node()), after in children(node()),
    ) {
        let world = World::new();
        make(&world.project(), &before);
        let expected = tempfile::tempdir().expect("a directory");
        make(expected.path(), &after);
        make_upper(&world.upper(), &before, &after);
        let (host, inside) = (exactly(&world.project()), exactly(&world.upper()));
        let applied = world.apply_all().expect("applied");
        let (now, wanted) = (contents(&world.project()), contents(expected.path()));
        prop_assert!(now.iter().skip(1).eq(wanted.iter().skip(1)), "{now:#?}\n{wanted:#?}");
        prop_assert_eq!(world.changes().changes.len(), 0);
        if applied.number.is_some() {
            world.undo().expect("undone");
        }
        prop_assert_eq!(host, exactly(&world.project()));
        let found: Vec<_> = exactly(&world.upper()).into_keys().collect();
        prop_assert_eq!(found, inside.into_keys().collect::<Vec<_>>());
    }
}
