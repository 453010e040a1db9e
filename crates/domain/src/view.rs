//! The file view: what exists inside, as a list that every driver realises in its way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A private directory in which commands may ask the supervisor for something.
pub const ASKS: &str = "/run/stockade";

/// What may be done with a directory or file of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Read, execute and write the host's own file.
    ReadWrite,
}

/// One thing in the view. Parents come before children; a later entry covers an earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// Absolute, normalised path inside.
    pub at: PathBuf,
    /// What stands there.
    pub what: Content,
}

/// What stands at a path of the view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A directory or file of the host, submounts included.
    Host {
        /// Absolute path on the host, symlinks resolved.
        source: PathBuf,
        /// Directory or not: the kind of the mount point to make.
        directory: bool,
        /// What may be done with it.
        access: Access,
    },
    /// A cache of the host's: what is written to it stays with the project, never the host.
    Cache {
        /// Absolute path of the directory on the host, symlinks resolved.
        source: PathBuf,
    },
    /// An empty, private, writable directory in memory.
    Private {
        /// Permission bits, for example `0o1777`.
        mode: u32,
        /// Size limit in bytes; none means that only the memory limit bounds it.
        size_bytes: Option<u64>,
    },
    /// A read-only file with this content.
    File {
        /// The content.
        content: Vec<u8>,
    },
    /// A symbolic link in the root directory's own file system.
    Symlink {
        /// What it says.
        target: PathBuf,
    },
    /// The processes inside.
    Proc,
    /// Harmless device nodes.
    Devices,
    /// The workspace; its mode stands in [`crate::spec::Workspace`].
    Workspace,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Parents before children.
    pub entries: Vec<ViewEntry>,
}
