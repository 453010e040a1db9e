//! Which wall is strong enough for a threat, of those that this host has.

use std::collections::BTreeMap;
use std::fmt::Write;

use stockade_domain::advise::threat::{Code, Network, Reads};
use stockade_domain::advise::{Advice, Here, HostHas, Ranked, Threat, advise};
use stockade_domain::{Control, ControlKind, Demand, Need, Origin, Support};

use super::plan::Launch;
use super::policy::{Explained, explain};
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
    let mut host = HostHas {
        strategies: strategies(&explained),
        memory_mib: memory_mib(),
        enclave: enclave(),
    };
    let demands = advise(threat, &host)?.demands;
    for name in DRIVERS {
        if let Some(why) = lacks(name, &demands).await? {
            host.strategies.insert(name.to_owned(), Here::No { why });
        }
    }
    let advice = advise(threat, &host)?;
    let policy = advice.ranked.first().map(|best| policy(best, &advice, threat));
    Ok(Chosen { advice, policy })
}

/// What each driver says here.
fn strategies(explained: &Explained) -> BTreeMap<String, Here> {
    let mut all = BTreeMap::new();
    for (at, row) in explained.drivers.iter().enumerate() {
        let mut given_up = Vec::new();
        let mut here = None;
        for control in &explained.controls {
            let (Need::Require, Some(Support::Absent { why, fix })) =
                (control.demand.need, control.support.get(at))
            else {
                continue;
            };
            let kind = control.demand.control.kind();
            given_up.push(kind.name());
            if kind == ControlKind::FilesUnreadable {
                let fix = fix.as_deref().map(|fix| format!(" ({fix})")).unwrap_or_default();
                here = Some(Here::No {
                    why: format!("{why}{fix}"),
                });
            }
        }
        let here = here.unwrap_or_else(|| Here::Yes {
            measured: given_up_line(&given_up).into_iter().collect(),
            start_ms: None,
        });
        all.insert(row.driver.to_owned(), here);
    }
    all
}

/// What a driver cannot enforce of that which the threat asks for.
async fn lacks(name: &str, demands: &[ControlKind]) -> Result<Option<String>> {
    let driver = driver(name)?;
    let target = driver.survey().await?;
    let missing = demands.iter().find_map(|kind| {
        let demand = Demand {
            control: Control::Wall(*kind),
            need: Need::Require,
            origin: Origin::Default,
        };
        match driver.support(&target, &demand) {
            Support::Absent { why, .. } => Some(format!("it cannot enforce {kind} here: {why}")),
            Support::Enforced { .. } | Support::Watched { .. } => None,
        }
    });
    Ok(missing)
}

fn given_up_line(names: &[&str]) -> Option<String> {
    let what = names.join(", ");
    (!names.is_empty()).then(|| format!("it cannot enforce {what} here: each has to be given up by name"))
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

fn memory_mib() -> u64 {
    let seen = rustix::system::sysinfo();
    // The kernel's own type differs by architecture.
    #[allow(clippy::useless_conversion)]
    let units = u64::from(seen.totalram);
    units.saturating_mul(u64::from(seen.mem_unit)) >> 20
}

/// The kind of encrypted memory that guests of this host can have: what the kernel's modules say.
fn enclave() -> Option<String> {
    const SWITCHES: [(&str, &str); 2] = [
        ("/sys/module/kvm_amd/parameters/sev", "AMD SEV"),
        ("/sys/module/kvm_intel/parameters/tdx", "Intel TDX"),
    ];
    let on = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| matches!(text.trim(), "Y" | "1"));
    let found = SWITCHES.into_iter().find(|(path, _)| on(path));
    found.map(|(_, name)| name.to_owned())
}
