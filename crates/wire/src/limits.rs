//! Every bound of the protocol.

/// The version that both sides must speak.
pub const PROTOCOL_VERSION: u32 = 2;

/// Bytes of one message, at most, in either direction.
pub const MAX_FRAME: usize = 1 << 20;

/// Bytes of one message from the guest, at most: the host gives an unknown sender no more.
pub const MAX_FRAME_TO_HOST: usize = 128 << 10;

/// Bytes of the length that precedes each message.
pub const LENGTH_PREFIX: usize = 4;

/// Bytes of a stream in one message, at most.
pub const CHUNK: usize = 64 << 10;

/// Bytes of one stream that were sent and not yet consumed by the other side, at most.
/// Also what each side keeps of a stream in case the link drops.
pub const WINDOW: usize = 1 << 20;

/// A receiver confirms when it has consumed this much since it last did.
pub const ACK_EVERY: usize = WINDOW / 4;

/// Bytes of argv, environment and directory of one command together, at most.
pub const MAX_ARGUMENT_BYTES: usize = 960 << 10;

/// Bytes of a path, at most; the kernel's own bound.
pub const MAX_PATH: usize = 4096;

/// Bytes of a text for people, at most.
pub const MAX_TEXT: usize = 1024;

/// Entries of a directory in one message, at most.
pub const MAX_ENTRIES: usize = 256;

/// Commands that a guest knows at once, at most, ended ones that were not forgotten included.
pub const MAX_EXECS: u32 = 64;

/// File requests that a guest keeps waiting, at most.
pub const MAX_PENDING_FILES: usize = 16;

/// Bytes of a name in a tree, at most; the kernel's own bound.
pub const MAX_NAME: usize = 255;

/// Names of a tree, at most.
pub const MAX_TREE_NAMES: usize = 500_000;

/// Nodes of a tree in one message, at most.
pub const MAX_NODES: usize = 1024;

/// Nodes of which the content is asked for in one message, at most.
pub const MAX_WANTS: usize = 256;

/// Bytes of all attributes of one node, at most.
pub const MAX_ATTRIBUTE_BYTES: usize = 40 << 10;

/// A message about a tree that holds so much takes nothing more.
pub const TREE_FULL: usize = 32 << 10;

/// Bytes of a file in one message about a tree, at most. With what there may be before it, and the attributes, it
/// still fits into a frame.
pub const TREE_PIECE: usize = 48 << 10;

/// What a node counts for in such a message beside its name, content and attributes.
pub const TREE_NODE: usize = 64;

/// Attributes of one node, at most.
pub const MAX_ATTRIBUTES: usize = 256;

/// Bytes of the name of an attribute, at most; the kernel's own bound.
pub const MAX_ATTRIBUTE_NAME: usize = 255;

/// Milliseconds within which the kernel may give two changes of a file the same time: two of its longest ticks.
pub const RECENT_MS: u64 = 20;
