//! `stockade run`.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use stockade_domain::environment::Variable;
use stockade_domain::units::{ByteCount, CpuMillis, DurationMs, Limit};

use super::label::Label;
use super::policy::PolicyFlags;

/// Runs a command in a new sandbox
///
/// Without flags: no network; the project (the git root, else the current directory)
/// copy-on-write; system directories read-only; a private home; a clean environment; half
/// of the machine's memory and 4096 processes.
#[derive(Args, Debug)]
#[command(after_long_help = NOTES)]
pub struct RunArgs {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,

    #[command(flatten)]
    pub sandbox: SandboxArgs,
    #[command(flatten)]
    pub terminal: TerminalArgs,

    /// Run it without a terminal and return when it runs; see `attach` and `logs`
    ///
    /// The sandbox ends with its command, or by `stop`, --ttl or --idle. Its record and the
    /// newest of its output stay until `rm`; with --rm nothing stays.
    #[arg(short, long, help_heading = "Life")]
    pub detach: bool,
    /// Keep the record of the sandbox when the command ends, even if nothing changed
    #[arg(long, help_heading = "Life")]
    pub keep: bool,

    /// Write the plan (with --dry-run, on stdout), what was started (with --detach, on stdout)
    /// or the last line (on stderr) as JSON
    #[arg(long, help_heading = "Reports")]
    pub json: bool,
    /// No notes and no last line
    #[arg(short, long, help_heading = "Reports")]
    pub quiet: bool,
    /// Write signed evidence of the run to this file, for `stockade verify`
    ///
    /// What was enforced and what was seen of it, how the command ended, and the hash of its changes. The file
    /// is emptied when the run begins.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["detach", "dry_run"], help_heading = "Reports")]
    pub evidence: Option<PathBuf>,
}

/// What `run` and `create` have in common.
#[derive(Args, Debug)]
pub struct SandboxArgs {
    #[command(flatten)]
    pub policy: PolicyFlags,
    /// Show what would be enforced, by whom and how; create nothing
    #[arg(long, help_heading = "Policy")]
    pub dry_run: bool,

    #[command(flatten)]
    pub view: ViewArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub life: LifeArgs,
    #[command(flatten)]
    pub change_set: ChangeSetArgs,

    /// Write events as JSON lines to this open file descriptor
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(1..), help_heading = "Reports")]
    pub status_fd: Option<RawFd>,
    #[command(flatten)]
    pub audit: AuditFlags,
    /// For the battery alone: what it showed last does not keep it from looking anew
    #[arg(long, hide = true)]
    pub probing: bool,
    /// For tests: send the workspace over the guest's link, as drivers do that share no file system
    #[arg(long, hide = true)]
    pub workspace_over_link: bool,
}

/// What becomes of a sandbox, and by what it is found.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Life")]
pub struct LifeArgs {
    /// Name of the sandbox, for `exec`, `stop` and `changes`
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A note on the sandbox, for `ls --label`; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<Label>,
    /// Begin without changes, and throw them away when the sandbox ends
    #[arg(long = "rm", conflicts_with_all = ["keep", "changes", "fresh"])]
    pub remove: bool,
    /// End a detached sandbox after this time: 30m, 8h
    ///
    /// Counted from its start by a clock that nobody can set; time asleep counts.
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<DurationMs>,
    /// End a detached sandbox when nothing happened in it for this time: 10m
    ///
    /// Something happens while anybody is connected (exec, attach, logs -f), when its first
    /// command writes, or when its processes use a hundredth of a processor.
    #[arg(long, value_name = "TIME")]
    pub idle: Option<DurationMs>,
    /// How much of the output of a detached sandbox is kept [default: 16M]
    #[arg(long, value_name = "SIZE")]
    pub log_size: Option<ByteCount>,
}

/// Makes a sandbox without a command, to `exec` into
///
/// It lives until `stop`, --ttl or --idle. Its name, or its id where it was given none, is
/// written to standard output.
#[derive(Args, Debug)]
pub struct CreateArgs {
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Keep the record of the sandbox when it ends (the default)
    #[arg(long, hide = true)]
    pub keep: bool,
    /// Write what was made, or with --dry-run the plan, as JSON
    #[arg(long, help_heading = "Reports")]
    pub json: bool,
    /// No notes
    #[arg(short, long, help_heading = "Reports")]
    pub quiet: bool,
}

/// Who else gets the records of what happens.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Reports")]
pub struct AuditFlags {
    /// Write the audit records to this open file descriptor as well
    ///
    /// Each is a line of JSON. A reader that is too slow misses some; how many is recorded.
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(1..))]
    pub audit_fd: Option<RawFd>,
    /// Send the audit records to the system's log (journald or syslog) as well
    #[arg(long)]
    pub audit_syslog: bool,
}

/// Which changes of earlier runs the command finds in a copy-on-write workspace.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Changes of the workspace")]
pub struct ChangeSetArgs {
    /// Go on with the change set of this name, or begin it [default: pending]
    #[arg(long, value_name = "NAME")]
    pub changes: Option<String>,
    /// Begin without changes; those that are there are set aside, not lost
    #[arg(long)]
    pub fresh: bool,
}

/// What exists inside.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "What the command sees")]
pub struct ViewArgs {
    /// The project directory [default: the git root, else the current directory]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
    /// What writing to the workspace means
    #[arg(long, value_name = "MODE", value_enum)]
    pub workspace_mode: Option<WorkspaceModeArg>,
    /// Show this file or directory read-only
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub ro: Vec<PathBuf>,
    /// Show this file or directory writable: changes reach the host
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub rw: Vec<PathBuf>,
    /// A root directory to use in place of the host's system directories
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub image: Option<PathBuf>,
    /// Set a variable; NAME alone passes the host's value on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Variable>,
    /// Set the variables of a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
}

/// Upper bounds, as they are written.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Limits (`none` turns one off)")]
pub struct LimitArgs {
    /// Memory and swap together: 512M, 2G [default: half of the machine's]
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<Limit<ByteCount>>,
    /// Processors: 1.5
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<Limit<CpuMillis>>,
    /// Processes and threads [default: 4096]
    #[arg(long, value_name = "NUMBER")]
    pub pids: Option<Limit<u32>>,
    /// Size of the changes in the workspace: 10G
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<Limit<ByteCount>>,
    /// Time from the start of the command: 500ms, 30s, 5m, 1h
    ///
    /// When it has passed the command gets SIGTERM. One that does not end is killed a second
    /// later, with everything inside; so a run can last up to two seconds longer than this.
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Limit<DurationMs>>,
    /// Bytes of standard output and standard error together
    #[arg(long, value_name = "SIZE")]
    pub output: Option<Limit<ByteCount>>,
}

/// How the command is wired to the terminal.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Terminal")]
pub struct TerminalArgs {
    /// Forward standard input even if it is a terminal and the command gets none
    ///
    /// Without this flag standard input is forwarded if it is not a terminal, or if the
    /// command has a terminal of its own.
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal of its own [default: if all three standard streams are one]
    #[arg(short, long, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Give the command no terminal
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Send your terminal everything that the command writes
    ///
    /// Without this flag a terminal gets text, colours and progress bars, or the drawing of
    /// a command that has a terminal of its own; but nothing that changes the clipboard or the
    /// title, makes links, or asks the terminal for a title or settings. Files and
    /// pipes always get every byte.
    #[arg(long)]
    pub raw_output: bool,
}

/// What writing to the workspace means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkspaceModeArg {
    /// Changes are kept apart for review
    Cow,
    /// The same, in a private copy: where no overlay is possible
    Copy,
    /// Writing is refused
    Ro,
    /// Changes go straight to the host
    Rw,
    /// The same, but for what runs later there; a checkpoint is taken first
    Live,
    /// There is no workspace
    None,
}

const NOTES: &str = "\
Examples:
  stockade run -- python3 script.py
  stockade run --memory 512M --timeout 5m -- make test
  stockade run --dry-run -- true
  stockade run -d --name web --ttl 8h -- npm run dev

When the command ends, one line on standard error tells how, and what it changed. See
`stockade changes` for what is kept. Exit codes are those of `stockade --help`.";
