//! A whole tree, for drivers that share no file system with the host: it is sent in at the start, and what
//! became of it is fetched piece by piece. The guest counts its looks at the tree (generations), and tells of
//! each only what is different from one before, if it still knows that one; else it tells everything, and the
//! host compares. All paths are relative to the tree's root.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::bounded_list;
use crate::error::WireError;
use crate::files::FileKind;
use crate::limits::{
    MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTES, MAX_NAME, MAX_NODES, MAX_PATH, MAX_WANTS,
    TREE_PIECE,
};
use crate::message::at_most;

/// A path below the root of a tree: names that are neither empty nor `.` nor `..`, with slashes between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

/// What nobody but the kernel sets: a file with the same mark has not been touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeMark {
    /// Inode.
    pub inode: u64,
    /// Last change of anything about it: seconds and nanoseconds since 1970.
    pub changed: (i64, u32),
    /// Permission bits, set-user-id and the like included.
    pub mode: u32,
    /// What it is.
    pub kind: FileKind,
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStat {
    /// Its mark.
    pub mark: TreeMark,
    /// Names that it has, here or elsewhere.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeNode {
    /// It is new, or was touched.
    Now {
        /// Where.
        path: TreePath,
        /// What is there.
        stat: TreeStat,
        /// It was touched so shortly before that a later change may leave its mark as it is.
        recent: bool,
    },
    /// A name is gone, with all that was below it.
    Gone {
        /// Where.
        path: TreePath,
    },
    /// A directory could not be looked into; nothing is told of what is below it.
    Unread {
        /// Where.
        path: TreePath,
        /// The kernel's error number.
        errno: i32,
    },
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// Its value.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// What is wanted of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeWant {
    /// Where.
    pub path: TreePath,
    /// Of a regular file: from here on.
    pub offset: u64,
}

/// A part of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreePart {
    /// The node as it was when this was read.
    pub stat: TreeStat,
    /// Its attributes; only with the first part.
    #[serde(deserialize_with = "bounded_list::<MAX_ATTRIBUTES, _, _>")]
    pub attributes: Vec<Attribute>,
    /// What it holds.
    pub content: TreeContent,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeContent {
    /// A part of a regular file. What is between the offset that was asked for and this one is a hole.
    Bytes {
        /// Where it begins.
        at: u64,
        /// The bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// Nothing but holes is behind it.
        last: bool,
    },
    /// What a symbolic link says.
    Target(#[serde(with = "serde_bytes")] Vec<u8>),
    /// It has no content of its own.
    Nothing,
}

/// What came of one [`TreeWant`]; an error is the kernel's number.
pub type TreeResult = Result<TreePart, i32>;

/// A node to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantNode {
    /// Where: its directory was made before.
    pub path: TreePath,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// Its attributes; only with the first part.
    #[serde(deserialize_with = "bounded_list::<MAX_ATTRIBUTES, _, _>")]
    pub attributes: Vec<Attribute>,
    /// What it is.
    pub what: Plant,
}

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plant {
    /// A directory, open until it is closed.
    Directory,
    /// All is in a directory.
    Close,
    /// A part of a regular file.
    Bytes {
        /// It makes the file.
        first: bool,
        /// Where it begins.
        at: u64,
        /// The bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// The size of the whole file, with its last part.
        size: Option<u64>,
    },
    /// A symbolic link that says this.
    Target(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl TreePath {
    /// Checks and takes a path.
    ///
    /// # Errors
    /// If it is absolute, leads up or nowhere, or is too long.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, WireError> {
        let path = path.into();
        at_most("a path in a tree", path.len(), MAX_PATH)?;
        for name in path.split(|byte| *byte == b'/') {
            at_most("a name in a tree", name.len(), MAX_NAME)?;
            if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
                return Err(WireError::PartInvalid {
                    part: "a path in a tree",
                    why: "one of its names is empty, . or .., or holds NUL",
                });
            }
        }
        Ok(Self(path))
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path of the directory that holds it; none for what is in the root.
    #[must_use]
    pub fn parent(&self) -> Option<&[u8]> {
        let cut = self.0.iter().rposition(|byte| *byte == b'/')?;
        self.0.get(..cut)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        Self::new(path).map_err(serde::de::Error::custom)
    }
}

impl TreeNode {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Now { path, .. } | Self::Gone { path } | Self::Unread { path, .. } => path,
        }
    }
}

impl TreePart {
    fn validate(&self) -> Result<(), WireError> {
        attributes(&self.attributes)?;
        match &self.content {
            TreeContent::Bytes { bytes, .. } => at_most("the bytes of a file", bytes.len(), TREE_PIECE),
            TreeContent::Target(target) => link_target(target),
            TreeContent::Nothing => Ok(()),
        }
    }
}

impl PlantNode {
    fn validate(&self) -> Result<(), WireError> {
        attributes(&self.attributes)?;
        match &self.what {
            Plant::Bytes { bytes, .. } => at_most("the bytes of a file", bytes.len(), TREE_PIECE),
            Plant::Target(target) => link_target(target),
            Plant::Directory | Plant::Close => Ok(()),
        }
    }
}

pub(crate) fn plants(nodes: &[PlantNode]) -> Result<(), WireError> {
    at_most("the nodes of a message", nodes.len(), MAX_NODES)?;
    nodes.iter().try_for_each(PlantNode::validate)
}

pub(crate) fn wants(wants: &[TreeWant]) -> Result<(), WireError> {
    at_most("what is wanted in a message", wants.len(), MAX_WANTS)
}

pub(crate) fn parts(parts: &[TreeResult]) -> Result<(), WireError> {
    parts.iter().flatten().try_for_each(TreePart::validate)
}

/// A link that says nothing cannot be made, and one with a NUL says something else than it seems to.
pub(crate) fn link_target(target: &[u8]) -> Result<(), WireError> {
    if target.is_empty() || target.contains(&0) {
        let why = "it is empty or holds a NUL byte";
        return Err(WireError::PartInvalid {
            part: "the target of a link",
            why,
        });
    }
    at_most("the target of a link", target.len(), MAX_PATH)
}

fn attributes(all: &[Attribute]) -> Result<(), WireError> {
    let mut bytes = 0_usize;
    for one in all {
        at_most("the name of an attribute", one.name.len(), MAX_ATTRIBUTE_NAME)?;
        if one.name.is_empty() || one.name.contains(&0) {
            return Err(WireError::PartInvalid {
                part: "the name of an attribute",
                why: "it is empty or holds a NUL byte",
            });
        }
        bytes = bytes
            .saturating_add(one.name.len())
            .saturating_add(one.value.len());
    }
    at_most("the attributes of a file", bytes, MAX_ATTRIBUTE_BYTES)
}
