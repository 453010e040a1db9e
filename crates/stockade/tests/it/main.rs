//! The program as its users meet it: flags, texts, exit codes, terminals.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)] // a failing set-up is a failing test

mod apply;
mod arguments;
mod audit;
mod chroot;
mod completions;
mod copies;
mod detached;
mod diff;
mod doctor;
mod errors;
mod evidence;
mod generated;
mod git;
mod interactive;
mod jobs;
mod lint;
mod merge;
mod plan;
mod probe;
mod probe_forms;
mod probed;
mod processes;
mod pty;
mod rpc;
mod runs;
mod sandboxes;
mod setup;
mod streams;
mod thousands;
mod tops;
mod transport;
mod waiting;
mod world;
