//! `stockade setup`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Mends this host for ordinary users, as root: shows what it would write, and asks
///
/// An AppArmor profile where AppArmor keeps user namespaces from programs without one, and the
/// delegation of control groups where systemd does not delegate all that limits need. Files of
/// others are never overwritten, and --undo takes back exactly what was written.
#[derive(Args, Debug)]
pub struct SetupArgs {
    /// Show what would be written; write nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Take back what was written
    #[arg(long, conflicts_with = "sysctl")]
    pub undo: bool,
    /// Also turn on switches of the kernel that keep user namespaces from users
    #[arg(long)]
    pub sysctl: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Another system's root directory: programs of this system are not started then
    #[arg(long, hide = true, default_value = "/", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// The installed program, in that system; else this one
    #[arg(long, hide = true, value_hint = ValueHint::FilePath)]
    pub program: Option<PathBuf>,
}
