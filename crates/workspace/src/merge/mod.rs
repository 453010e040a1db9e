//! A file that changed inside and on the host, seen from three sides: what stood there before, the
//! host's, and the sandbox's.

mod text;

use std::path::Path;

use serde::Serialize;

pub use text::{Clash, Merge};

use crate::bases::{Base, Bases, MAX_MERGE_BYTES, exactly};
use crate::change::{Change, Entry, NodeKind};
use crate::text::{Hunk, hunks};
use crate::trees::{Side, Trees};

/// A change that is a conflict, from three sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreeWay {
    /// Three texts.
    Text(Box<Texts>),
    /// It cannot be merged.
    Apart(Box<Apart>),
}

/// Three texts, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The result, with what clashes.
    pub merge: Merge,
    /// The permission bits that it gets; none if both sides changed them otherwise.
    pub mode: Option<u32>,
    /// What the host made of the base.
    pub host: Vec<Hunk>,
    /// What the sandbox made of it.
    pub sandbox: Vec<Hunk>,
}

/// What cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Why, in a clause.
    pub why: &'static str,
    /// What can be shown of it nevertheless, and from which side to which.
    pub shown: Option<(&'static str, Vec<Hunk>)>,
}

/// Whether a conflict can be merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "merge")]
pub enum Merges {
    /// Both sides changed other lines.
    Cleanly,
    /// Both changed the same lines, which can be marked.
    WithMarks {
        /// Which, in a clause.
        why: String,
    },
    /// It cannot.
    Not {
        /// Why, in a clause.
        why: String,
    },
}

/// A file's new content, put together from both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The content.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Places that are marked, because both sides changed them otherwise.
    pub marked: usize,
}

const NO_BASE: &str = "base not known: the host's file was changed before it was kept, or was new";
const TOO_LARGE: &str = "files of more than 1 MiB are not merged";
const BINARY: &str = "it is binary";
const NOT_FILES: &str = "it is not a regular file on both sides";
const UNREADABLE: &str = "it cannot be read, or changed at this moment";
const DELETED_INSIDE: &str = "it was deleted inside and changed on the host";
const DELETED_ON_HOST: &str = "it was changed inside and deleted on the host";

impl ThreeWay {
    /// Looks at a change that is a conflict.
    #[must_use]
    pub fn of(trees: &Trees, bases: &Bases, change: &Change) -> Self {
        Self::of_moved(trees, bases, change, change)
    }

    /// Looks at a file that was moved inside, by its deletion and its addition, and that is a conflict.
    #[must_use]
    pub fn of_moved(trees: &Trees, bases: &Bases, from: &Change, to: &Change) -> Self {
        let sides = Sides {
            host: (&from.path, from.before),
            sandbox: (&to.path, to.after),
        };
        match texts(trees, bases, &sides) {
            Ok(texts) => Self::Text(Box::new(texts)),
            Err(apart) => Self::Apart(Box::new(apart)),
        }
    }

    /// The merged file; with `marks` also where both sides changed the same lines.
    #[must_use]
    pub fn merged(&self, marks: bool) -> Option<Merged> {
        let Self::Text(texts) = self else { return None };
        let marked = texts.merge.clashes().count();
        Some(Merged {
            content: match texts.merge.clean() {
                Some(content) => content,
                None if marks => texts.merge.marked(),
                None => return None,
            },
            mode: texts.mode?,
            marked,
        })
    }

    /// Whether it can be merged.
    #[must_use]
    pub fn merges(&self) -> Merges {
        match self.why_not() {
            None => Merges::Cleanly,
            Some(why) if self.merged(true).is_some() => Merges::WithMarks { why },
            Some(why) => Merges::Not { why },
        }
    }

    /// Why there is no clean merge, in a clause; none if there is one.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let texts = match self {
            Self::Apart(apart) => return Some(apart.why.to_owned()),
            Self::Text(texts) => texts,
        };
        if texts.mode.is_none() {
            return Some("both sides changed its permissions".to_owned());
        }
        let places: Vec<String> = texts.merge.clashes().map(Clash::place).collect();
        let named = places.get(..NAMED).map_or_else(
            || places.join(", "),
            |first| format!("{} and {} more", first.join(", "), places.len() - NAMED),
        );
        (!places.is_empty()).then(|| format!("both sides changed the same lines: {named} of the host's file"))
    }
}

/// Places that are named in one message.
const NAMED: usize = 5;

fn apart(why: &'static str) -> Apart {
    Apart { why, shown: None }
}

/// What stands at a path of the host, and at one inside.
struct Sides<'a> {
    host: (&'a Path, Option<Entry>),
    sandbox: (&'a Path, Option<Entry>),
}

fn texts(trees: &Trees, bases: &Bases, sides: &Sides<'_>) -> Result<Texts, Apart> {
    let file = |entry: Option<Entry>| entry.filter(|entry| entry.node == NodeKind::File);
    let (path, before) = sides.host;
    let (new_path, after) = sides.sandbox;
    let known = bases.get(path);
    let base = || bases.content(path).filter(|base| !is_binary(base));
    let read = |side, entry: &Entry| {
        let path = if side == Side::Before { path } else { new_path };
        match entry.bytes {
            0..=MAX_MERGE_BYTES => exactly(trees, side, path, entry).ok_or_else(|| apart(UNREADABLE)),
            _ => Err(apart(TOO_LARGE)),
        }
    };
    let of_one = |why, what, side, entry: Option<Entry>| {
        let text = file(entry).and_then(|entry| read(side, &entry).ok());
        let text = text.filter(|text| !is_binary(text));
        Apart {
            why,
            shown: base().zip(text).map(|(base, text)| (what, hunks(&base, &text))),
        }
    };
    let (host, sandbox) = match (before, after) {
        (before, None) => {
            return Err(of_one(DELETED_INSIDE, "base → host", Side::Before, before));
        }
        (None, after) => {
            return Err(of_one(DELETED_ON_HOST, "base → sandbox", Side::After, after));
        }
        (before, after) => match (file(before), file(after)) {
            (Some(host), Some(sandbox)) => (host, sandbox),
            _ => return Err(apart(NOT_FILES)),
        },
    };
    let of_host = read(Side::Before, &host)?;
    let of_sandbox = read(Side::After, &sandbox)?;
    if is_binary(&of_host) || is_binary(&of_sandbox) {
        return Err(apart(BINARY));
    }
    let Some((known, of_base)) = known.zip(bases.content(path)) else {
        return Err(Apart {
            why: NO_BASE,
            shown: Some(("host → sandbox", hunks(&of_host, &of_sandbox))),
        });
    };
    if is_binary(&of_base) {
        return Err(apart(BINARY));
    }
    Ok(Texts {
        merge: text::merge(&of_base, &of_host, &of_sandbox),
        mode: mode(&known, &host, &sandbox),
        host: hunks(&of_base, &of_host),
        sandbox: hunks(&of_base, &of_sandbox),
    })
}

/// A text has no NUL anywhere: a merge looks at every line.
fn is_binary(content: &[u8]) -> bool {
    content.contains(&0)
}

/// The permission bits of a merged file; never those that let it run as its owner.
fn mode(base: &Base, host: &Entry, sandbox: &Entry) -> Option<u32> {
    let plain = |mode: u32| mode & 0o1777;
    let (host, sandbox) = (plain(host.mode), plain(sandbox.mode));
    match base {
        _ if host == sandbox => Some(host),
        Base::File { mode, .. } if sandbox == plain(*mode) => Some(host),
        Base::File { mode, .. } if host == plain(*mode) => Some(sandbox),
        Base::File { .. } | Base::Nothing => None,
    }
}

impl Clash {
    /// Its lines in the host's file, counted from 1.
    fn place(&self) -> String {
        let (first, end) = (self.host_lines.start + 1, self.host_lines.end);
        match end {
            end if end < first => format!("before line {first}"),
            end if end == first => format!("line {first}"),
            end => format!("lines {first} to {end}"),
        }
    }
}
