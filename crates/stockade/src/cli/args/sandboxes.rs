//! `stockade ls`, `inspect`, `logs`, `attach`, `stop` and `rm`.

use clap::Args;
use stockade_domain::units::DurationMs;
use stockade_host::shim::Keys;

use super::label::LabelFilter;

/// Lists sandboxes
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Write a JSON array
    #[arg(long)]
    pub json: bool,
    /// Only names
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    /// Only those with this label: KEY, or KEY=VALUE; with several, all must fit
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    pub labels: Vec<LabelFilter>,
}

/// Shows all that is known of a sandbox
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Write it as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandbox: its name or id
    pub name: String,
}

/// Shows what the first command of a detached sandbox wrote
///
/// Standard output and standard error come out where they belong. The newest output is kept
/// (`run --log-size`), also when the sandbox has ended, until `stockade rm`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Go on until the command ends, or Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Only what was written within this time: 30s, 5m
    #[arg(long, value_name = "TIME")]
    pub since: Option<DurationMs>,
    /// Write JSON lines with time, offset and stream
    #[arg(long, conflicts_with = "follow")]
    pub json: bool,
    /// The sandbox: its name or id
    pub name: String,
}

/// Attaches to the first command of a detached sandbox
///
/// Shows what it writes. Many can watch; one at a time can type, if the command was started
/// with -i or -t. The detach keys, and without a terminal Ctrl-C, leave it running.
#[derive(Args, Debug)]
pub struct AttachArgs {
    /// Only watch
    #[arg(long)]
    pub read_only: bool,
    /// Show output from this offset on, as far as it is kept [default: only what is new]
    #[arg(long, value_name = "OFFSET")]
    pub from: Option<u64>,
    /// Keys that leave the command running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: Keys,
    /// Send your terminal everything that the command writes
    ///
    /// As for `stockade run`: without this flag, nothing reaches it that changes the clipboard or
    /// the title, makes links, or asks the terminal for answers. Files and pipes get every byte.
    #[arg(long)]
    pub raw_output: bool,
    /// Write how it ended as JSON to standard error
    #[arg(long)]
    pub json: bool,
    /// No message about how it ended
    #[arg(short, long)]
    pub quiet: bool,
    /// The sandbox: its name or id
    pub name: String,
}

/// Stops everything in a sandbox where it is, until `resume`
///
/// What is inside cannot notice it. Clocks go on: --timeout, --ttl and --idle count.
#[derive(Args, Debug)]
pub struct PauseArgs {
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Lets a paused sandbox go on
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Ends a running sandbox
///
/// Its command gets SIGTERM, and after the grace period everything inside is killed. One that
/// has ended already is no error: the answer says how it ended.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// How long the command may take to end by itself: 500ms, 30s
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub grace: DurationMs,
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Removes an ended sandbox with the changes that it kept
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Stop it first if it runs
    #[arg(short, long)]
    pub force: bool,
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
    /// The sandboxes: names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}
