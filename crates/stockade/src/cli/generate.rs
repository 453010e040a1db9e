//! `stockade completions` and `stockade man`: made from the same data as the help.

use std::path::Path;

use clap::CommandFactory;

use super::Result;
use super::args::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;
use crate::report;

/// `stockade completions SHELL`
pub fn completions(args: &CompletionsArgs) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stockade", &mut script);
    report::out(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// `stockade man --dir DIR`
pub fn man(args: &ManArgs) -> Result {
    std::fs::create_dir_all(&args.dir).map_err(|cause| Failure::write(&args.dir, cause))?;
    let mut command = Cli::command();
    command.build();
    page(&args.dir, &command, "stockade")?;
    Ok(0)
}

/// Writes the page of a command and of all below it.
fn page(dir: &Path, command: &clap::Command, name: &str) -> std::result::Result<(), Failure> {
    let path = dir.join(format!("{name}.1"));
    let mut text = Vec::new();
    let titled = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(titled)
        .render(&mut text)
        .map_err(|cause| Failure::write(&path, cause))?;
    std::fs::write(&path, text).map_err(|cause| Failure::write(&path, cause))?;
    command
        .get_subcommands()
        .try_for_each(|below| page(dir, below, &format!("{name}-{}", below.get_name())))
}
