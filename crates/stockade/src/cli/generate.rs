//! `stockade completions` and `stockade man`: made from the same data as the help.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use stockade_domain::policy::presets;

use super::Result;
use super::args::{Cli, CompletionsArgs, ManArgs};
use super::help::topic_names;
use crate::failure::Failure;
use crate::report;

const KNOWN_BASH: &str = include_str!("../../completions/known.bash");
const KNOWN_ZSH: &str = include_str!("../../completions/known.zsh");
const KNOWN_FISH: &str = include_str!("../../completions/known.fish");
/// What is typed is completed by a function of ours where it names something that exists, else
/// by the generated one, under this name.
const FIXED: &str = "_stockade_fixed";

/// `stockade completions SHELL`
pub fn completions(args: &CompletionsArgs) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stockade", &mut script);
    report::out(&with_known(&String::from_utf8_lossy(&script), args.shell))?;
    Ok(0)
}

fn with_known(script: &str, shell: Shell) -> String {
    let fixed = script.replacen("_stockade() {", &format!("{FIXED}() {{"), 1);
    match shell {
        Shell::Bash => before(&fixed, "\nif [[ \"${BASH_VERSINFO[0]}\"", &filled(KNOWN_BASH)),
        Shell::Zsh => before(&fixed, "if [ \"$funcstack[1]\"", filled(KNOWN_ZSH).trim_start()),
        Shell::Fish => format!("{script}{}", filled(KNOWN_FISH)),
        _ => script.to_owned(),
    }
}

fn before(script: &str, mark: &str, what: &str) -> String {
    match script.find(mark) {
        Some(at) => format!("{}{what}{}", &script[..at], &script[at..]),
        None => format!("{script}{what}"),
    }
}

fn filled(template: &str) -> String {
    template
        .replace("@PRESETS@", &presets::NAMES.join(" "))
        .replace("@TOPICS@", &topic_names().join(" "))
        .replace("@VALUED@", &valued().join("|"))
}

/// Flags after which a value follows: nothing that is known belongs there.
fn valued() -> Vec<String> {
    let (mut valued, mut switches) = (BTreeSet::new(), BTreeSet::new());
    let program = Cli::command();
    for argument in program.get_subcommands().flat_map(clap::Command::get_arguments) {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        let names = long.into_iter().chain(short);
        if argument.get_action().takes_values() {
            valued.extend(names);
        } else {
            switches.extend(names);
        }
    }
    let known = ["--changes", "--preset"].map(str::to_owned);
    valued
        .into_iter()
        .filter(|name| !switches.contains(name) && !known.contains(name))
        .collect()
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
