//! `stockade probe`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Attacks the walls of this host's drivers from inside, and tells what held
///
/// Each check plants something of its own on the host, attacks it without a sandbox (it must be
/// reached, else nothing is shown), and attacks it from inside a sandbox of the default policy.
/// Nothing real is read, changed or left behind. Exit code 1 if a protection that is claimed did not hold.
#[derive(Args, Debug)]
pub struct ProbeArgs {
    /// Only this driver; may be given several times
    #[arg(long, value_name = "NAME")]
    pub driver: Vec<String>,
    /// Only this group of probes (--list shows them); may be given several times
    #[arg(long, value_name = "GROUP")]
    pub category: Vec<String>,
    /// Only the probes whose id begins like this; may be given several times
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
    /// Attack again where the last result still counts
    ///
    /// A whole result is kept and counts until the machine is started anew, or its kernel, a setting that
    /// matters, the organisation's policy or Stockade changes. Sandboxes are refused that would need what it
    /// contradicts.
    #[arg(long)]
    pub reprobe: bool,
    /// Show what is commonly said of sandboxes to be true or false on this host, and probe no driver
    ///
    /// Each demonstration attacks what it planted itself, with `chroot`, `unshare` and the like. One that
    /// cannot be made here is told with its reason.
    #[arg(long, conflicts_with_all = ["driver", "category", "id", "reprobe", "list", "sarif", "html", "verbose"])]
    pub claims: bool,
    /// Show the probes and run none
    #[arg(long)]
    pub list: bool,
    /// Write JSON, with every probe and what is claimed
    #[arg(long)]
    pub json: bool,
    /// Write SARIF 2.1.0 to this file, or to standard output for -
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with_all = ["json", "list"], value_hint = ValueHint::FilePath)]
    pub sarif: Option<PathBuf>,
    /// Write a page for a browser to this file: controls by drivers, each cell with its evidence
    #[arg(long, value_name = "FILE", conflicts_with = "list", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Tell every probe, not only those that did not hold
    #[arg(long, short)]
    pub verbose: bool,
}
