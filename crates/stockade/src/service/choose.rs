//! Which wall is strong enough for a threat, of those that this host has.

use std::collections::BTreeMap;
use std::fmt::Write;

use stockade_domain::ControlKind;
use stockade_domain::advise::threat::{Code, Network, Reads};
use stockade_domain::advise::{Advice, Here, HostHas, Ranked, Threat, advise};
use stockade_host::doctor;

use super::plan::Launch;
use super::policy::{explain, memory_bytes};
use super::probed::{self, Last};
use super::standing::Standing;
use super::{DRIVERS, Result, driver};

/// The answer, with the policy that goes with the first choice.
pub struct Chosen {
    /// Ranked, rejected, and why.
    pub advice: Advice,
    /// As a file; none where nothing here is strong enough.
    pub policy: Option<String>,
}

/// A coding agent on its developer's machine.
pub fn usual() -> Threat {
    Threat::default()
}

/// Reads answers from TOML.
///
/// # Errors
/// What is wrong with them, with the line.
pub fn parse(text: &str) -> std::result::Result<Threat, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// Chooses.
///
/// # Errors
/// The policy that holds here cannot be used, or the host cannot be looked at.
pub async fn choose(threat: &Threat) -> Result<Chosen> {
    let explained = explain(Launch::default()).await?;
    // What is asked of a wall follows from the threat alone.
    let demands = advise(threat, &HostHas::default())?.demands;
    let mut strategies = BTreeMap::new();
    for name in DRIVERS {
        let standing = Standing::of(&explained, name).await?;
        let last = probed::last(driver(name)?.as_ref())?;
        let required = explained.controls.iter().map(|row| &row.demand);
        let contradicted = probed::matters(last.probe.contradictions(), required)
            || last
                .probe
                .contradictions()
                .iter()
                .any(|one| one.controls.iter().any(|kind| demands.contains(kind)));
        strategies.insert(
            name.to_owned(),
            match contradicted {
                true => Here::No {
                    why: format!("{last} (stockade probe --driver {name} --reprobe)"),
                },
                false => here(&standing, &demands, &last),
            },
        );
    }
    let host = HostHas {
        strategies,
        memory_mib: memory_bytes() >> 20,
        enclave: doctor::memory_encryption().map(str::to_owned),
    };
    let advice = advise(threat, &host)?;
    let policy = advice.ranked.first().map(|best| policy(best, &advice, threat));
    Ok(Chosen { advice, policy })
}

/// What this host has of a driver, for what the threat asks.
fn here(standing: &Standing, demands: &[ControlKind], last: &Last) -> Here {
    let lacking = |kind: &ControlKind| {
        let why = standing.absence(*kind)?;
        Some(format!("it cannot enforce {kind} here: {why}"))
    };
    match standing
        .refused
        .clone()
        .or_else(|| demands.iter().find_map(lacking))
    {
        Some(why) => Here::No { why },
        None => Here::Yes {
            measured: given_up_line(&standing.given_up)
                .into_iter()
                .chain([last.to_string()])
                .collect(),
            start_ms: None,
        },
    }
}

fn given_up_line(kinds: &[ControlKind]) -> Option<String> {
    let what = kinds
        .iter()
        .map(|kind| kind.name())
        .collect::<Vec<_>>()
        .join(", ");
    (!kinds.is_empty()).then(|| format!("it cannot enforce {what} here: each has to be given up by name"))
}

/// A policy that asks for what the threat asks for.
fn policy(best: &Ranked, advice: &Advice, threat: &Threat) -> String {
    let mut text = String::from("# Written by `stockade choose`.\nversion = 1\n");
    if DRIVERS.contains(&best.strategy.name.as_str()) {
        let _ = writeln!(text, "driver = \"{}\"", best.strategy.name);
    }
    let is_strange = matches!(threat.code, Code::Public | Code::Hostile) || threat.reads == Reads::Untrusted;
    if is_strange {
        text.push_str("\n[workspace]\nmode = \"cow\"\n");
    }
    match threat.network {
        Network::None => text.push_str("\n[network]\nmode = \"none\"\n"),
        Network::Allowlist => text.push_str("\n[network]\nallow = []    # name the hosts: \"crates.io\"\n"),
        Network::Open => text.push_str("\n[network]\nmode = \"host\"\n"),
    }
    if !advice.demands.is_empty() {
        text.push_str("\n[need]\n");
        for kind in &advice.demands {
            let _ = writeln!(text, "{kind} = \"require\"");
        }
    }
    text
}
