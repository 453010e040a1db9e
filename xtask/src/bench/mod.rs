//! `bench` (being written).
use crate::tree::Tree;
/// What to measure.
#[derive(clap::Args)]
pub struct Options {}
/// Runs.
pub fn run(_tree: &Tree, _options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
