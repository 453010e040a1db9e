//! `stockade diff`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Shows what sandboxes changed in this project and nobody has taken over yet
///
/// Files that would run later outside come first, marked with `!`: git hooks, start-up files of
/// shells and editors, settings of AI agents, CI and build files, what can be executed. What
/// git's rules leave out is told in one line a tree. Nothing that a sandbox wrote is executed,
/// and what it wrote is shown escaped.
#[derive(Args, Debug)]
#[command(after_long_help = NOTES)]
pub struct DiffArgs {
    /// Only these files, and what is in these directories
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// The change set, or a sandbox that used it: its name or id [default: the project's pending one]
    #[arg(long, value_name = "NAME")]
    pub changes: Option<String>,
    /// Show files that git's rules leave out one by one, too
    #[arg(long)]
    pub ignored: bool,

    /// One line a file: how many lines are new and gone
    #[arg(long, group = "form", help_heading = "Form")]
    pub stat: bool,
    /// Only the names
    #[arg(long, group = "form", help_heading = "Form")]
    pub name_only: bool,
    /// Write JSON
    #[arg(long, group = "form", help_heading = "Form")]
    pub json: bool,
    /// Write a patch for `git apply` to this file; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "form", help_heading = "Form")]
    pub patch: Option<PathBuf>,
    /// Write a page for a browser to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "form", help_heading = "Form")]
    pub html: Option<PathBuf>,
    /// Do not start a pager
    #[arg(long, help_heading = "Form")]
    pub no_pager: bool,
}

const NOTES: &str = "\
Examples:
  stockade diff
  stockade diff --stat src
  stockade diff --patch changes.patch && git apply changes.patch
  stockade diff --html review.html

On a terminal the text goes through $PAGER (less, if it is not set).";
