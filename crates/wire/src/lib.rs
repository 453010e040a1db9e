//! The messages between Stockade's host and its guest, their framing, and the accounting
//! that lets a stream of bytes survive the loss of a link.
//!
//! A link is any stream of bytes. On it travel frames: a length (32 bits, little-endian)
//! and a message in postcard's encoding. Both sides send [`Hello`] first and need not
//! wait for the other's. The host treats every byte as hostile: decoding never panics and
//! never holds more than one frame; every bound is a constant of [`limits`].
//!
//! # When a link drops
//!
//! The guest goes on and both sides keep what the other has not confirmed. On a new link
//! each side sends, after its `Hello`, a [`Resume`] for every stream that it *receives*,
//! and sends nothing of a stream before the other's `Resume` for it arrived
//! ([`SendBuffer::hold`], [`SendBuffer::resume`]). The host repeats [`ToGuest::Exec`] for
//! every command that it has seen neither started nor failed, before its `Resume`s; the
//! guest takes a known id as a question and repeats what it last said about the command
//! (started, failed, stopped, exited). A guest to which the command is new sends no
//! `Resume` for its input: its `Started` then means that the input goes on at 0. The host
//! answers with [`ToGuest::Forget`] what is said of a command that it has forgotten.
//! Signals and file requests that were under way may
//! be lost; file requests can be repeated as they carry their offsets.
//!
//! This crate does no I/O.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod asks;
mod bytes;
mod codec;
mod error;
mod exec;
mod files;
mod flow;
mod hello;
pub mod limits;
mod message;
mod tree;

pub use asks::{
    ASKS_VARIABLE, Answer, Ask, AskId, Asked, AskedCheckpoint, MAX_ASKED_NAME, MAX_ASKS, MAX_LISTED,
    MAX_REFUSAL, Request,
};
pub use bytes::{ByteStrings, GuestPath};
pub use codec::{Decoder, encode, encode_data};
pub use error::WireError;
pub use exec::{ExecFailure, ExecId, ExecRequest, ExitStatus, FailureKind, Stream, WindowSize};
pub use files::{
    DirectoryEntry, FileAnswer, FileError, FileKind, FileOperation, FileReply, FileRequest, FileResult,
    FileStat, RequestId,
};
pub use flow::{Outgoing, RecvWindow, SendBuffer};
pub use hello::Hello;
pub use message::{Ack, Data, Eof, Message, Resume, ToGuest, ToHost};
pub use tree::{
    Attribute, Plant, PlantNode, TreeContent, TreeMark, TreeNode, TreePart, TreePath, TreeResult, TreeStat,
    TreeWant,
};

#[cfg(test)]
mod tests;
