//! Files inside, for every driver. A request names everything it needs (path, offset) and
//! leaves nothing open in the guest, so that it can be repeated after a link dropped, and
//! several can be under way. Paths are resolved by the guest, beneath the sandbox's root.

use serde::{Deserialize, Serialize};

use crate::bytes::{GuestPath, bounded_list};
use crate::limits::{MAX_ENTRIES, MAX_NODES, MAX_WANTS};
use crate::tree::{PlantNode, TreeNode, TreeResult, TreeWant};

/// Number of a file request; the host chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u32);

/// Something to do with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRequest {
    /// Its number, repeated in the reply.
    pub id: RequestId,
    /// The file.
    pub path: GuestPath,
    /// What to do.
    pub operation: FileOperation,
}

/// What to do with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileOperation {
    /// Describe it: [`FileAnswer::Stat`].
    Stat {
        /// Describe what a symbolic link points to instead of the link.
        follow: bool,
    },
    /// Read a part of a regular file: [`FileAnswer::Chunk`].
    Read {
        /// From here.
        offset: u64,
        /// At most this much, and never more than a chunk.
        length: u32,
    },
    /// Write a part of a regular file.
    Write {
        /// To here.
        offset: u64,
        /// What to write, at most a chunk.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// Make the file with these permissions if it does not exist.
        create: Option<u32>,
        /// Empty the file first.
        truncate: bool,
    },
    /// List a directory in the order of names: [`FileAnswer::Entries`].
    List {
        /// Only names after this one; empty for all.
        #[serde(with = "serde_bytes")]
        after: Vec<u8>,
    },
    /// Remove a file, a symbolic link or a directory.
    Remove {
        /// A directory with all that it holds, instead of only an empty one.
        recursive: bool,
    },
    /// Make a directory.
    MakeDir {
        /// Its permissions.
        mode: u32,
        /// Make missing parents too, and take an existing directory as success.
        parents: bool,
    },
    /// Make a symbolic link.
    MakeLink {
        /// What it says.
        #[serde(with = "serde_bytes")]
        target: Vec<u8>,
    },
    /// Give it another name, replacing what has that name.
    Rename {
        /// The other name.
        to: GuestPath,
    },
    /// Change its permissions.
    SetMode {
        /// The permissions.
        mode: u32,
    },
    /// Make these nodes below a directory, in this order.
    Plant {
        /// The nodes.
        #[serde(deserialize_with = "bounded_list::<MAX_NODES, _, _>")]
        nodes: Vec<PlantNode>,
    },
    /// Look at the tree below a directory: [`FileAnswer::Surveyed`].
    Survey {
        /// Only what is different from this look, if it is still known.
        since: Option<u64>,
        /// Nothing else is inside: what is closed to its owner may be opened for the look.
        still: bool,
    },
    /// What the last look told: [`FileAnswer::Nodes`].
    Nodes {
        /// Its number.
        generation: u64,
        /// From here on.
        from: u32,
    },
    /// Content of nodes below a directory: [`FileAnswer::Parts`].
    Fetch {
        /// Which.
        #[serde(deserialize_with = "bounded_list::<MAX_WANTS, _, _>")]
        wants: Vec<TreeWant>,
        /// As with a survey.
        still: bool,
    },
}

impl FileOperation {
    /// It is about a whole tree, of which the guest keeps in mind what it told.
    #[must_use]
    pub fn is_about_trees(&self) -> bool {
        matches!(
            self,
            Self::Plant { .. } | Self::Survey { .. } | Self::Nodes { .. } | Self::Fetch { .. }
        )
    }
}

/// The answer to a [`FileRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReply {
    /// The number of the request.
    pub id: RequestId,
    /// What came of it.
    pub result: FileResult,
}

/// What came of a request.
pub type FileResult = Result<FileAnswer, FileError>;

/// A request that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileAnswer {
    /// Nothing more to say.
    Done,
    /// The description.
    Stat(FileStat),
    /// A part of the file.
    Chunk {
        /// The bytes; fewer than asked for only at the end of the file.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// The file as it was when this part was read: a change between two parts shows.
        stat: FileStat,
    },
    /// A part of the directory.
    Entries {
        /// In the order of their names' bytes.
        #[serde(deserialize_with = "bounded_list::<MAX_ENTRIES, _, _>")]
        entries: Vec<DirectoryEntry>,
        /// There are more: ask again, after the last name.
        more: bool,
    },
    /// A look at a tree.
    Surveyed {
        /// Its number.
        generation: u64,
        /// How many nodes are to be told of.
        count: u32,
        /// They are all that there is; else those that differ from the look that was named.
        whole: bool,
    },
    /// Some of what a look told.
    Nodes(#[serde(deserialize_with = "bounded_list::<MAX_NODES, _, _>")] Vec<TreeNode>),
    /// Parts of the first of the nodes that were wanted, one each: at least one.
    Parts(#[serde(deserialize_with = "bounded_list::<MAX_WANTS, _, _>")] Vec<TreeResult>),
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
    Unknown,
}

/// Description of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, set-user-id and the like included.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Device and inode, to tell that two names are one file.
    pub identity: (u64, u64),
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// What a symbolic link says; empty otherwise.
    #[serde(with = "serde_bytes")]
    pub target: Vec<u8>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// The name: never empty, `.` or `..`, and without a slash.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// What it is.
    pub kind: FileKind,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileError {
    /// The kernel's error number, or 0.
    pub errno: i32,
    /// What failed and why, for people.
    pub text: String,
}
