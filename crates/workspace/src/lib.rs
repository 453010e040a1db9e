//! Change sets: what a sandbox changed in its workspace.
//!
//! A copy-on-write workspace keeps its changes in the upper directory of an overlay. What
//! lies there was written by untrusted code: names may hold any byte, symbolic links may
//! point anywhere, trees may be as deep and as wide as the disk allows, and all of it may
//! change while it is read. So every directory is opened with `openat2`, which refuses to
//! leave the tree, to follow a link or to cross a mount; nothing but directories is
//! opened; and a scan is bounded.

mod apply;
mod bases;
mod change;
pub mod checkpoint;
mod compare;
mod conflict;
mod copy;
mod digest;
mod error;
mod files;
mod git;
mod ignored;
mod journal;
mod merge;
mod name;
mod overlay;
mod patch;
mod place;
mod rename;
pub mod replica;
mod review;
mod risk;
mod scan;
mod text;
mod trees;
mod write_error;

pub use apply::{Applied, Decision, Request, apply, compose, preview};

pub use bases::{BASES, Bases, MAX_MERGE_BYTES, Room, forget};
pub use change::{
    Change, ChangeKind, ChangeSet, Content, Counts, Entry, Moment, NodeKind, Stamp, Unread, lossless,
};
pub use conflict::{Conflicts, Start};
pub use copy::{NOBODY, Owners};
pub use digest::Digest;
pub use error::{Error, Result};
pub use git::{
    CommitTold, GitDone, GitError, GitFile, GitOutcome, GitWish, HeadTold, RefFate, RefTold, Repositories,
    Told as GitTold,
};
pub use journal::{History, Pause, Undone};
pub use merge::{Apart, Clash, Merge, Merged, Merges, Texts, ThreeWay};
pub use patch::{Left, Patch, hunk_header, quoted};
pub use review::{Detail, Fold, Item, MAX_TEXT_BYTES, Renamed, Review, Wish, judge};
pub use risk::{Risk, protected, unprotected};
pub use scan::{ScanLimits, is_empty, scan};
pub use text::{Hunk, Line, LineKind, hunks, is_binary};
pub use trees::{Side, Trees};
pub use write_error::{WriteError, WriteResult};
