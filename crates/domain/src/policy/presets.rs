//! Policies that come with the program, as files of data.

use super::error::{PolicyError, printable_text};
use super::file::{parse, suggest};
use super::layer::{Clause, Layer};

/// A policy that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a clause.
    pub summary: &'static str,
    /// The file.
    pub text: &'static str,
}

/// All of them, tightest first.
pub static ALL: [Preset; 3] = [
    Preset {
        name: NAMES[0],
        summary: "read-only project, small limits that have to hold: for code that nobody has read",
        text: include_str!("../../presets/locked.toml"),
    },
    Preset {
        name: NAMES[1],
        summary: "the defaults, written out: takes back what layers below changed",
        text: include_str!("../../presets/standard.toml"),
    },
    Preset {
        name: NAMES[2],
        summary: "many processes and the variables of compilers: for builds and tests",
        text: include_str!("../../presets/toolchain.toml"),
    },
];

/// Their names.
pub const NAMES: [&str; 3] = ["locked", "standard", "toolchain"];

/// A preset by the clause that asks for it.
///
/// # Errors
/// There is none of that name.
pub fn find(name: &Clause<String>) -> Result<&'static Preset, PolicyError> {
    ALL.iter()
        .find(|preset| preset.name == name.value)
        .ok_or_else(|| PolicyError::NoPreset {
            origin: name.origin.clone(),
            name: printable_text(&name.value),
            fix: suggest(&name.value, &NAMES),
        })
}

/// A preset as a layer; its clauses have places in `preset NAME`.
///
/// # Errors
/// There is none of that name.
pub fn layer(name: &Clause<String>) -> Result<Layer, PolicyError> {
    let preset = find(name)?;
    parse(preset.text, &format!("preset {}", preset.name))
}
