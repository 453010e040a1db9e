//! The payload: attacks by the ids of the catalogue of boundary checks, loads, and helping
//! roles. The same program runs inside (the attack) and outside (its control): it is the test
//! itself, copied under a name that begins with `attack`.
//!
//! An attack prints `REACHED …` with something that it could only have got by breaking
//! through, or what it read, tries everything it knows, and prints `DONE` at its end.

mod devices;
mod files;
mod helpers;
mod internet;
mod ipc;
mod kernel;
mod launch;
mod leaks;
mod limits;
mod load;
mod mounts;
mod nested;
mod network;
mod nodes;
mod out;
mod paths;
mod privileges;
mod processes;
mod project;
mod results;
mod rights;
mod settings;
mod side;
mod surface;
mod sweep;
mod sys;

pub(crate) use processes::NOT_IN;

use std::process::ExitCode;

pub use nested::{OWN_FILTER, OWN_RULES};

/// What an attack is: its arguments are those after its name.
type Attack = fn(&[String]);

/// Attacks by name.
type Table = &'static [(&'static str, Attack)];

/// What plays a part that is no attack.
type Role = fn(&[String]) -> ExitCode;

const TABLES: &[Table] = &[
    files::ATTACKS,
    mounts::ATTACKS,
    processes::ATTACKS,
    privileges::ATTACKS,
    rights::ATTACKS,
    nested::ATTACKS,
    kernel::ATTACKS,
    surface::ATTACKS,
    sweep::ATTACKS,
    devices::ATTACKS,
    settings::ATTACKS,
    nodes::ATTACKS,
    ipc::ATTACKS,
    network::ATTACKS,
    side::ATTACKS,
    limits::ATTACKS,
    internet::ATTACKS,
    project::ATTACKS,
    results::ATTACKS,
    paths::ATTACKS,
    leaks::ATTACKS,
];

const ROLES: &[(&str, Role)] = &[
    ("launch", launch::run),
    ("victim", helpers::victim),
    ("ipc", helpers::ipc),
    ("linger", helpers::linger),
    ("hold", ipc::hold),
    ("world", internet::world),
    ("listen", internet::doorman),
    ("load", load::run),
    ("do", side::act),
];

/// Says which build this is.
pub const FINGERPRINT_ROLE: &str = "fingerprint";

/// Whether this process was started as the payload.
#[must_use]
pub fn is_meant() -> bool {
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    name.and_then(|path| Some(path.file_name()?.to_string_lossy().starts_with("attack")))
        .unwrap_or(false)
}

/// Plays the part that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if arguments.first().is_some_and(|word| word == FINGERPRINT_ROLE) {
        println!("{}", crate::FINGERPRINT);
        return ExitCode::SUCCESS;
    }
    let Some((name, rest)) = arguments.split_first() else {
        eprintln!("attack: name an attack or a role");
        return ExitCode::from(99);
    };
    if let Some((_, role)) = ROLES.iter().find(|(role, _)| role == name) {
        return role(rest);
    }
    match TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|(attack, _)| attack == name)
    {
        Some((_, attack)) => {
            attack(rest);
            println!("DONE");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("attack: there is no {name}");
            ExitCode::from(99)
        }
    }
}
