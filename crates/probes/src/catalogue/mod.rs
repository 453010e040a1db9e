//! The probes, by the ids of the catalogue of boundary checks, as data.

mod files;
mod kernel;
mod outside;
mod privileges;
mod processes;

use crate::probe::Probe;

/// Probes of one kind, with their heading.
pub type Group = (&'static str, &'static [Probe]);

/// All of them.
pub const GROUPS: &[Group] = &[
    ("files", files::ALL),
    ("processes", processes::ALL),
    ("privileges", privileges::ALL),
    ("kernel", kernel::ALL),
    ("outside", outside::ALL),
];
