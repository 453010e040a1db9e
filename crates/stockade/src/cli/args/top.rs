//! `stockade top`.

use clap::Args;
use stockade_domain::units::DurationMs;

/// Shows what running sandboxes use, live
///
/// Keys: q ends, c, m and a sort by processor time, memory and age. Processor time is of one processor; a
/// number before + is a lower bound, as all of it was not looked at yet.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// Time between two looks
    #[arg(short, long, value_name = "TIME", default_value = "1s")]
    pub interval: DurationMs,
    /// Look once; also where standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// Look once, and write a JSON array
    #[arg(long)]
    pub json: bool,
}
