//! `stockade rpc`.

use clap::Args;

/// Lets a program drive sandboxes: JSON lines on standard input and output
///
/// Creates sandboxes, runs commands in them with their streams, and reads and writes files in
/// them. What was created ends when standard input ends. See docs/rpc.md.
#[derive(Args, Debug)]
pub struct RpcArgs {}
