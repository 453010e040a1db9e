//! `stockade verify`.

use std::path::PathBuf;

use clap::Args;
use stockade_host::evidence::Demand;

/// Checks the signed evidence of a run, and what is required of it
///
/// Evidence is written by `stockade run --evidence FILE`. Without --key it has to be signed by this machine's own key.
/// Exit code 1 if it is genuine and something required is not so, 125 if it is not to be believed.
#[derive(Args, Debug)]
pub struct EvidenceArgs {
    /// The evidence; `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "show_key")]
    pub file: Option<PathBuf>,
    /// Something that has to be so; may be given several times, or with commas
    ///
    /// level=container (or stronger), driver=NAME, network=none, network=allowlist (or less), control=NAME (was seen to
    /// be enforced), policy=HASH, changes=HASH, exit=CODE, probes=held, max-age=24h.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub require: Vec<Demand>,
    /// The changes of this name in this project have to be those of the evidence [default name: pending]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "pending", require_equals = true)]
    pub changes: Option<String>,
    /// A public key (PEM) that is trusted in place of this machine's own; may be given several times
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Write JSON, with all that the evidence says
    #[arg(long)]
    pub json: bool,
    /// Write the public key of this machine, for those who read its evidence elsewhere
    #[arg(long, conflicts_with_all = ["file", "require", "changes", "key", "json"])]
    pub show_key: bool,
}
