//! What a sandbox without a terminal wrote: kept in files of bounded size, which readers
//! read by themselves. A reader that is slow, or never reads, costs nothing but its place: what
//! was thrown away meanwhile is a gap in the offsets.
//!
//! ```text
//! record     one piece of output, as it is kept
//! writer     the shim's end; the files
//! follower   readers in the shim, who wait for more
//! read       readers elsewhere, who take what is there
//! ```

mod follower;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use read::{Excerpt, read};
pub use record::LogRecord;
pub use stockade_wire::Stream;

pub(crate) use follower::Follower;
pub(crate) use writer::LogWriter;

/// Bytes that are kept of a sandbox's output unless another size is asked for.
pub const DEFAULT_LOG_BYTES: u64 = 16 << 20;
/// The least that can be kept: some records must fit into each file.
pub const MIN_LOG_BYTES: u64 = 256 << 10;

/// Begin of the names of log files; the rest is a number that grows.
const PREFIX: &str = "log.";
