//! Whether the rules that stand show no more than the view: found anew from the view, not by the
//! code that made them.

use std::collections::HashMap;
use std::path::Path;

use stockade_domain::Spec;
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{Access, Content, ViewEntry};
use stockade_linux::compile::CPU_TOPOLOGY;
use stockade_linux::ops::Trees;

use super::places::Places;
use super::rules::{DEVICES, PROC};

/// What the view has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// Nothing of the host's.
    Closed,
    /// The host's, to read.
    Readable,
    /// The host's, to write.
    Writable,
}

/// The first rule that lets through what the view does not have, in words.
pub(super) fn beyond(spec: &Spec, places: &Places, rules: &Trees) -> Option<String> {
    let view = View::of(spec);
    let own = places.writable();
    let is_known = |path: &Path, known: &[&str]| known.iter().any(|known| Path::new(known) == path);
    let listed = rules.list.iter().find(|path| view.at(path) < Shown::Readable);
    let read = rules.read.iter().find(|path| {
        let known = is_known(path, &PROC) || is_known(path, &[CPU_TOPOLOGY]);
        !known && **path != places.readable() && view.throughout(path) < Shown::Readable
    });
    let written = rules.write.iter().find(|path| {
        !own.contains(path) && !is_known(path, &DEVICES) && view.throughout(path) < Shown::Writable
    });
    let found = [(listed, "listed"), (read, "read"), (written, "written")];
    found.into_iter().find_map(|(path, how)| {
        let path = path?.display();
        Some(format!("{path} can be {how}, which the view does not say"))
    })
}

/// The view, by path: each rule is looked for in it, and there are some 160 rules in a default sandbox.
struct View<'a> {
    /// What there is at the places of entries.
    entries: HashMap<&'a Path, Shown>,
    /// The least that there is below directories in which entries lie.
    below: HashMap<&'a Path, Shown>,
}

impl<'a> View<'a> {
    fn of(spec: &'a Spec) -> Self {
        let workspace = match spec.workspace.as_ref().map(|workspace| workspace.mode) {
            Some(WorkspaceMode::Ro) => Shown::Readable,
            Some(WorkspaceMode::Rw | WorkspaceMode::Live) => Shown::Writable,
            Some(WorkspaceMode::Cow | WorkspaceMode::Copy | WorkspaceMode::None) | None => Shown::Closed,
        };
        Self::new(&spec.view.entries, workspace)
    }

    fn new(entries: &'a [ViewEntry], workspace: Shown) -> Self {
        let mut view = Self {
            entries: HashMap::with_capacity(entries.len()),
            below: HashMap::with_capacity(entries.len()),
        };
        for entry in entries {
            let shown = shown(entry, workspace);
            view.entries.insert(&entry.at, shown);
            // A link leads to what has an entry of its own, or to nothing.
            if matches!(entry.what, Content::Symlink { .. }) {
                continue;
            }
            for above in entry.at.ancestors().skip(1) {
                let least = view.below.entry(above).or_insert(shown);
                *least = shown.min(*least);
            }
        }
        view
    }

    /// What there is at a path itself: the last entry above it decides.
    fn at(&self, path: &Path) -> Shown {
        let found = path.ancestors().find_map(|above| self.entries.get(above));
        found.copied().unwrap_or(Shown::Closed)
    }

    /// What there is at least, at a path and everywhere below it.
    fn throughout(&self, path: &Path) -> Shown {
        let here = self.at(path);
        self.below.get(path).map_or(here, |below| here.min(*below))
    }
}

fn shown(entry: &ViewEntry, workspace: Shown) -> Shown {
    match &entry.what {
        Content::Host { access, .. } => match access {
            Access::ReadOnly => Shown::Readable,
            Access::ReadWrite => Shown::Writable,
        },
        Content::Workspace => workspace,
        Content::Cache { .. }
        | Content::Private { .. }
        | Content::File { .. }
        | Content::Symlink { .. }
        | Content::Proc
        | Content::Devices => Shown::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: &str, what: Content) -> ViewEntry {
        ViewEntry { at: at.into(), what }
    }

    fn host(at: &str, access: Access) -> ViewEntry {
        let source = at.into();
        entry(
            at,
            Content::Host {
                source,
                directory: true,
                access,
            },
        )
    }

    fn entries() -> Vec<ViewEntry> {
        vec![
            host("/etc", Access::ReadOnly),
            entry("/etc/passwd", Content::File { content: Vec::new() }),
            host("/usr", Access::ReadOnly),
            host("/data", Access::ReadWrite),
            entry("/work", Content::Workspace),
        ]
    }

    fn view(entries: &[ViewEntry]) -> View<'_> {
        View::new(entries, Shown::Closed)
    }

    /// What the view says of a path, entry by entry: slower, and plain to see.
    fn throughout(entries: &[ViewEntry], path: &Path) -> Shown {
        let above = entries.iter().filter(|entry| path.starts_with(&entry.at));
        let nearest = above.max_by_key(|entry| entry.at.components().count());
        let below = entries.iter().filter(|entry| {
            entry.at != path && entry.at.starts_with(path) && !matches!(entry.what, Content::Symlink { .. })
        });
        let here = nearest.map_or(Shown::Closed, |entry| shown(entry, Shown::Closed));
        below.fold(here, |least, entry| least.min(shown(entry, Shown::Closed)))
    }

    proptest::proptest! {
        #[test]
        fn the_maps_say_what_each_entry_says(
            parts in proptest::collection::vec((proptest::collection::vec(0..3_u8, 0..4), 0..5_u8), 0..12),
            asked in proptest::collection::vec(0..3_u8, 0..5),
        ) {
            let path = |names: &[u8]| {
                let names = names.iter().map(|name| ["a", "ab", "b"][usize::from(*name)]);
                std::iter::once("/").chain(names).collect::<std::path::PathBuf>()
            };
            let all: Vec<ViewEntry> = parts.iter().map(|(names, what)| ViewEntry {
                at: path(names),
                what: match what {
                    0 => Content::Workspace,
                    1 => Content::File { content: Vec::new() },
                    2 => Content::Symlink { target: "/a".into() },
                    3 => host("/", Access::ReadOnly).what,
                    _ => host("/", Access::ReadWrite).what,
                },
            }).collect();
            let path = path(&asked);
            proptest::prop_assert_eq!(view(&all).throughout(&path), throughout(&all, &path));
        }
    }

    #[test]
    fn a_tree_with_something_covered_in_it_is_not_shown_as_a_whole() {
        let entries = entries();
        let view = view(&entries);
        assert_eq!(view.throughout("/etc".as_ref()), Shown::Closed);
        assert_eq!(view.at("/etc".as_ref()), Shown::Readable);
        assert_eq!(view.throughout("/etc/ssl".as_ref()), Shown::Readable);
        assert_eq!(view.throughout("/etc/passwd".as_ref()), Shown::Closed);
    }

    #[test]
    fn what_has_no_entry_is_closed() {
        let entries = entries();
        let view = view(&entries);
        for path in ["/", "/var", "/usrlocal", "/work"] {
            assert_eq!(view.throughout(path.as_ref()), Shown::Closed, "{path}");
        }
    }

    #[test]
    fn what_is_shown_to_be_read_is_not_shown_to_be_written() {
        let entries = entries();
        let view = view(&entries);
        assert_eq!(view.throughout("/usr/bin".as_ref()), Shown::Readable);
        assert_eq!(view.throughout("/data/below".as_ref()), Shown::Writable);
    }
}
