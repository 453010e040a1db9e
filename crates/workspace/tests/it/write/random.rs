//! Random trees: what is applied is what stands inside, and an undo brings back every file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::super::whiteout;
use super::set_mode;
use super::world::{World, contents, exactly};

/// A node of a model.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Its content, permission bits and attributes.
    File(String, u32, Attributes),
    Link(OsString),
    /// Its permission bits, whether an overlay would write it anew as a whole, what is in it.
    Directory(u32, bool, Children),
}

type Children = BTreeMap<OsString, Node>;
/// What programs set, `user.` left out.
type Attributes = BTreeMap<&'static str, Vec<u8>>;

/// A directory has an attribute if its name ends so: in both trees, because one that stands in both keeps its own.
const WITH_ATTRIBUTE: &[u8] = b"c";

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => ("[a-c]{0,3}", prop_oneof![Just(0o644), Just(0o755), Just(0o600)], attributes())
            .prop_map(|(content, mode, attributes)| Node::File(content, mode, attributes)),
        1 => proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'/'), Just(b'.'), Just(0xff)], 1..4)
            .prop_map(|target| Node::Link(OsString::from_vec(target))),
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

fn attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![Just(Vec::new()), Just(b"1".to_vec()), Just(b"\0\xff".to_vec())];
    prop_oneof![
        3 => Just(Attributes::new()),
        1 => proptest::collection::btree_map(prop_oneof![Just("a"), Just("b.\u{e9}")], value, 1..3),
    ]
}

fn children(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Children> {
    // Few names, so that both trees have the same ones often; some are none that a person gives.
    let name = prop_oneof![
        Just("a".into()),
        Just("b".into()),
        Just("b.c".into()),
        Just("é".into()),
        Just("x\ny".into()),
        Just("-rf".into()),
        Just(OsString::from_vec(b"\xff".to_vec())),
        // Cut in the middle of a letter.
        Just(OsString::from_vec(b"a\xc3".to_vec())),
    ];
    proptest::collection::btree_map(name, inner, 0..5)
}

fn make(at: &Path, children: &Children) {
    for (name, node) in children {
        make_one(&at.join(name), node);
    }
}

fn make_one(path: &Path, node: &Node) {
    match node {
        Node::File(content, mode, attributes) => {
            fs::write(path, content).expect("a file");
            for (name, value) in attributes {
                set_attribute(path, name, value);
            }
            set_mode(path, *mode);
        }
        Node::Link(target) => symlink(target, path).expect("a link"),
        Node::Directory(mode, _, children) => {
            fs::create_dir(path).expect("a directory");
            if path.as_os_str().as_encoded_bytes().ends_with(WITH_ATTRIBUTE) {
                set_attribute(path, "of-directory", b"1");
            }
            make(path, children);
            set_mode(path, *mode);
        }
    }
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    let none = rustix::fs::XattrFlags::empty();
    match rustix::fs::setxattr(path, format!("user.{name}"), value, none) {
        // The file system has none: then no tree has.
        Ok(()) => {}
        Err(cause) => assert_eq!(cause, rustix::io::Errno::NOTSUP, "{}", path.display()),
    }
}

/// Writes what an overlay would hold that makes one tree look like the other.
fn make_upper(at: &Path, before: &Children, after: &Children) {
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

/// How many cases; more are asked for by a variable, and take their time.
fn cases() -> u32 {
    let asked = std::env::var("STOCKADE_RANDOM_CASES").ok();
    asked.map_or(128, |cases| cases.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

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

#[test]
fn an_attribute_alone_is_a_change_and_the_overlays_own_are_none() {
    let world = World::new();
    for name in ["changed", "same", "marked"] {
        world.host(name, "1");
        world.inside(name, "1");
    }
    let none = rustix::fs::XattrFlags::empty();
    let set = |path: &Path, name: &str| rustix::fs::setxattr(path, name, b"1", none);
    if set(&world.upper().join("changed"), "user.mine").is_err() {
        super::skip("attributes", "the file system has none");
        return;
    }
    set(&world.upper().join("marked"), "user.overlay.origin").expect("an attribute");
    for tree in [world.project(), world.upper()] {
        set(&tree.join("same"), "user.mine").expect("an attribute");
    }
    let found = world.changes().changes;
    let [change] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (change.path.as_path(), change.attributes),
        (Path::new("changed"), true)
    );
    world.apply_all().expect("applied");
    let pictures = contents(&world.project());
    assert_eq!(pictures[Path::new("changed")].attributes.len(), 1);
    world.undo().expect("undone");
    assert!(
        contents(&world.project())[Path::new("changed")]
            .attributes
            .is_empty()
    );
}
