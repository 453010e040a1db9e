//! `stockade doctor`.

use clap::Args;

/// Says what this host can do, what is missing, and how to get it
///
/// What can be tried is tried: each namespace, an overlay, a guest on /dev/kvm, and the default
/// run. Nothing is changed. Exit code 0 if the default run works, else 1.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Write JSON, with everything that was seen
    #[arg(long)]
    pub json: bool,
}
