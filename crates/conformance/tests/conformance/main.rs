//! The suite: tables of behaviours, run through the real program.

mod asks;
mod budget;
mod caches;
mod concurrency;
mod detached;
mod diffs;
mod endings;
mod environment;
mod exits;
mod faults;
mod guest;
mod harmless;
mod hostile;
mod journey;
mod kills;
mod layers;
mod leaks;
mod modes;
mod policy;
mod posture;
mod repositories;
mod resources;
mod sessions;
mod starts;
mod streams;
mod takeover;
mod terminal;
mod unusual;
mod view;
mod work;
mod workspace;

use std::process::ExitCode;

use stockade_conformance::suite::{self, Group};
use stockade_conformance::{Behaviour, Suite, attack};
use stockade_probes::catalogue;

const OWN: &[(&str, &[Behaviour])] = &[
    ("exits", exits::ALL),
    ("streams", streams::ALL),
    ("environment", environment::ALL),
    ("workspace", workspace::ALL),
    ("modes", modes::ALL),
    ("takeover", takeover::ALL),
    ("unusual", unusual::ALL),
    ("repositories", repositories::ALL),
    ("asks", asks::ALL),
    ("diffs", diffs::ALL),
    ("starts", starts::ALL),
    ("view", view::ALL),
    ("sessions", sessions::ALL),
    ("detached", detached::ALL),
    ("endings", endings::ALL),
    ("harmless", harmless::ALL),
    ("hostile", hostile::ALL),
    ("work", work::ALL),
    ("journey", journey::ALL),
    ("policy", policy::ALL),
    ("layers", layers::ALL),
    ("caches", caches::ALL),
    ("guest", guest::ALL),
    ("posture", posture::ALL),
    ("terminal", terminal::ALL),
    ("resources", resources::ALL),
    ("budget", budget::ALL),
    ("faults", faults::ALL),
    ("kills", kills::ALL),
    ("concurrency", concurrency::ALL),
    ("leaks", leaks::ALL),
];

fn main() -> ExitCode {
    if attack::is_meant() {
        return attack::main();
    }
    let chosen = suite::take_drivers(std::env::args().collect());
    let good = match chosen.and_then(|chosen| Ok((Suite::open()?, chosen))) {
        Ok((opened, (drivers, arguments))) => suite::run(opened, &drivers, &groups(), arguments),
        Err(stop) => {
            eprintln!("the suite cannot start: {}", stop.why());
            false
        }
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

/// The suite's own, and the catalogue of probes.
fn groups() -> Vec<Group> {
    let own = OWN.iter().map(|(name, rows)| (*name, rows.to_vec()));
    let probes = catalogue::GROUPS
        .iter()
        .map(|(name, probes)| (*name, probes.iter().map(Behaviour::probe).collect()));
    own.chain(probes).collect()
}
