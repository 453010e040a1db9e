//! `stockade lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use stockade_lint::rules::Severity;

/// Finds what weakens the walls of containers, pods and policies, and tells the fix
///
/// Reads compose files, Kubernetes manifests, what `docker inspect` and `podman inspect` say (of a file, of
/// standard input as `-`, or of a container by its name), and policies of Stockade. Exit code 1 if a
/// finding is at least as bad as --fail-on, 125 if something could not be read or was not understood:
/// that is never taken for clean.
#[derive(Args, Debug)]
pub struct LintArgs {
    /// Files, `-`, or names of containers that docker or podman has
    #[arg(value_name = "FILE|CONTAINER", required_unless_present = "rules", value_hint = ValueHint::FilePath)]
    pub targets: Vec<String>,
    /// From which severity on a finding is a failure
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = FailOn::High)]
    pub fail_on: FailOn,
    /// Leave out a rule, by its id; what it would have found is counted. May be given several times
    #[arg(long, value_name = "ID")]
    pub ignore: Vec<String>,
    /// Tell what was not understood, and do not fail because of it
    #[arg(long)]
    pub allow_unknown: bool,
    /// Values of variables in compose files, as for docker compose; may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
    /// Show the rules and check nothing
    #[arg(long)]
    pub rules: bool,
    /// Write JSON
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// Write SARIF 2.1.0, as code review and CI take it
    #[arg(long, conflicts_with = "rules")]
    pub sarif: bool,
}

/// A severity.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FailOn {
    /// Whoever controls the workload controls the host
    Critical,
    /// One more mistake, and the host is reached
    High,
    /// One wall of several is gone
    Medium,
    /// What else holds is weakened
    Low,
}

impl From<FailOn> for Severity {
    fn from(arg: FailOn) -> Self {
        match arg {
            FailOn::Critical => Self::Critical,
            FailOn::High => Self::High,
            FailOn::Medium => Self::Medium,
            FailOn::Low => Self::Low,
        }
    }
}
