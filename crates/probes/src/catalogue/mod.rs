//! The probes, by the ids of the catalogue of boundary checks, as data.

mod devices;
mod files;
mod identity;
mod ipc;
mod kernel;
mod limits;
mod network;
mod outside;
mod privileges;
mod processes;
mod running;
mod settings;

pub use processes::guest_control;

use crate::probe::Probe;

/// Probes of one kind, with their heading.
pub type Group = (&'static str, &'static [Probe]);

/// All of them.
pub const GROUPS: &[Group] = &[
    ("files", files::ALL),
    ("processes", processes::ALL),
    ("privileges", privileges::ALL),
    ("identity", identity::ALL),
    ("kernel", kernel::ALL),
    ("devices", devices::ALL),
    ("settings", settings::ALL),
    ("ipc", ipc::ALL),
    ("outside", outside::ALL),
    ("limits", limits::ALL),
    ("network", network::ALL),
];
