//! The probes, by the ids of the catalogue of boundary checks, as data.

mod devices;
mod files;
mod hooks;
mod identity;
mod ipc;
mod kernel;
mod leaks;
mod leftovers;
mod limits;
mod network;
mod outside;
mod paths;
mod privileges;
mod processes;
mod results;
mod running;
mod settings;
mod side;
mod supervisor;

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
    ("hooks", hooks::ALL),
    ("results", results::ALL),
    ("paths", paths::ALL),
    ("side", side::ALL),
    ("leaks", leaks::ALL),
    ("leftovers", leftovers::ALL),
    ("supervisor", supervisor::ALL),
];
