//! What the last probe of a driver means for a sandbox that is to be begun, and for reports.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use stockade_domain::plan::Missing;
use stockade_domain::{ControlKind, Demand, Need, Plan};
use stockade_host::driver::Driver;
use stockade_host::probed::{Build, Circumstances, Contradiction, LastProbe, Probed};
use stockade_probes::FINGERPRINT;

use super::{Result, guest, state_path};

/// A driver that does not hold what a policy requires of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradicted {
    /// The driver.
    pub driver: &'static str,
    /// How long ago it was probed.
    pub age: Duration,
    /// The required controls of which at least one is not held.
    pub missing: Vec<Missing>,
    /// What did not hold and matters here.
    pub probes: Vec<Contradiction>,
}

/// What the last probe has to say to a plan.
#[derive(Debug, Default)]
pub(super) struct Heeded {
    /// The plan must not be carried out.
    pub against: Option<Contradicted>,
    /// It may, and this should be known.
    pub note: Option<String>,
}

/// Looks for a last probe that speaks against a plan. Costs one small file, and more only where it does.
pub(super) fn heed(driver: &dyn Driver, plan: &Plan) -> Heeded {
    let Some(state) = state_path() else {
        return Heeded::default();
    };
    let name = driver.name();
    let found = Probed::read(&state, name);
    if matches!(&found, Ok(None)) || found.as_ref().is_ok_and(has_no_contradiction) {
        return Heeded::default();
    }
    let now = match (circumstances(driver), &found) {
        (Ok(now), _) => now,
        // Whether it still counts cannot be told: then it does.
        (Err(_), Ok(Some(probed))) => probed.circumstances.clone(),
        (Err(error), _) => {
            return Heeded::note(format!("the last probe of {name} cannot be judged: {error}"));
        }
    };
    match LastProbe::of(found, &now) {
        LastProbe::Contradicted { probed } => against(driver.name(), &probed, &now, plan),
        LastProbe::Unreadable { why } => Heeded::note(format!(
            "what the last probe of {name} showed cannot be believed, so it counts as never probed: {why}; \
             `stockade probe --driver {name}` tries anew"
        )),
        LastProbe::Outdated { probed, changes } => Heeded::note(format!(
            "the last probe of {name} contradicted what it claims ({}); it does not count any more, because {}; \
             `stockade probe --driver {name}` tries anew",
            ids(&probed.contradictions),
            changes.join(", ")
        )),
        LastProbe::Never | LastProbe::Held { .. } => Heeded::default(),
    }
}

fn has_no_contradiction(probed: &Option<Probed>) -> bool {
    probed
        .as_ref()
        .is_none_or(|probed| probed.contradictions.is_empty())
}

/// What a plan must not be carried out for, or what its user gave up.
fn against(driver: &'static str, probed: &Probed, now: &Circumstances, plan: &Plan) -> Heeded {
    let demands = || plan.planned().iter().map(|one| &one.demand);
    let is_heeded = |one: &&Contradiction| matters(std::slice::from_ref(*one), demands());
    let probes: Vec<Contradiction> = probed.contradictions.iter().filter(is_heeded).cloned().collect();
    if probes.is_empty() {
        return Heeded::note(format!(
            "the last probe of {driver}, {} ago, contradicts what it claims; the policy does not require that: {}",
            short_age(probed.age(now)),
            ids(&probed.contradictions)
        ));
    }
    let names = |one: &Contradiction, kind: ControlKind| one.controls.contains(&kind);
    let missing = plan
        .planned()
        .iter()
        .filter(|planned| planned.demand.need == Need::Require);
    let missing = missing.filter_map(|planned| {
        let kind = planned.demand.control.kind();
        let shown: Vec<Contradiction> = probes.iter().filter(|one| names(one, kind)).cloned().collect();
        (!shown.is_empty()).then(|| Missing {
            control: planned.demand.control.clone(),
            origin: planned.demand.origin.clone(),
            why: format!("the last probe shows the contrary: {}", ids(&shown)),
            fix: Some(format!("stockade probe --driver {driver} --reprobe")),
        })
    });
    Heeded {
        against: Some(Contradicted {
            driver,
            age: probed.age(now),
            missing: missing.collect(),
            probes,
        }),
        note: None,
    }
}

/// Whether one of these speaks against what is required. What every driver has to hold always does.
pub(super) fn matters<'a>(all: &[Contradiction], demands: impl Iterator<Item = &'a Demand>) -> bool {
    let required: Vec<ControlKind> = demands
        .filter(|demand| demand.need == Need::Require)
        .map(|demand| demand.control.kind())
        .collect();
    let is_heeded = |one: &Contradiction| {
        one.controls.is_empty() || one.controls.iter().any(|kind| required.contains(kind))
    };
    all.iter().any(is_heeded)
}

impl Heeded {
    fn note(text: String) -> Self {
        Self {
            against: None,
            note: Some(text),
        }
    }
}

impl Contradicted {
    /// In a clause.
    pub fn brief(&self) -> String {
        format!(
            "its last probe, {} ago, contradicts what it claims: {} (stockade probe --driver {} --reprobe)",
            short_age(self.age),
            ids(&self.probes),
            self.driver
        )
    }
}

impl std::error::Error for Contradicted {}

impl fmt::Display for Contradicted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "refused: the last probe of driver {}, {} ago, contradicts what it claims and the policy requires",
            self.driver,
            short_age(self.age)
        )?;
        let mut given_up = String::new();
        for one in &self.missing {
            let kind = one.control.kind();
            write!(out, "\n  {} ({}): {}", one.control, one.origin, one.why)?;
            let _ = write!(given_up, " --prefer {kind}"); // writing to a string cannot fail
        }
        let everywhere = self.probes.iter().filter(|one| one.controls.is_empty());
        for one in everywhere {
            write!(out, "\n  of every driver: {one} got through")?;
        }
        write!(
            out,
            "\n    fix: mend what lets it through and look anew: stockade probe --driver {} --reprobe; or take another driver",
            self.driver
        )?;
        let can_be_given_up = self.probes.iter().all(|one| !one.controls.is_empty());
        if can_be_given_up {
            write!(out, "; or give it up by name:{given_up}")?;
        }
        Ok(())
    }
}

/// The first few, with how many more.
fn ids(probes: &[Contradiction]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = probes.iter().take(SHOWN).map(ToString::to_string).collect();
    match probes.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// In the largest unit that fits.
pub fn short_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86400 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// The programs whose exchange makes a result old.
fn programs() -> Result<Vec<PathBuf>> {
    let own = std::env::current_exe()?;
    let guest = guest::program()?.path;
    Ok(if guest == own { vec![own] } else { vec![own, guest] })
}

/// Those of now.
///
/// # Errors
/// They cannot be found out.
pub(super) fn circumstances(driver: &dyn Driver) -> Result<Circumstances> {
    let programs = programs()?;
    let build = Build {
        version: env!("CARGO_PKG_VERSION"),
        battery: FINGERPRINT,
        programs: &programs,
    };
    Ok(Circumstances::now(driver, build)?)
}

/// What is known of a driver.
///
/// # Errors
/// The circumstances of now cannot be found out.
pub(super) fn last(driver: &dyn Driver) -> Result<Last> {
    let now = circumstances(driver)?;
    let probe = match state_path() {
        Some(state) => LastProbe::of(Probed::read(&state, driver.name()), &now),
        None => LastProbe::Never,
    };
    let age = match &probe {
        LastProbe::Held { probed }
        | LastProbe::Contradicted { probed }
        | LastProbe::Outdated { probed, .. } => Some(probed.age(&now)),
        LastProbe::Never | LastProbe::Unreadable { .. } => None,
    };
    Ok(Last { probe, age })
}

/// The last probe of a driver, for reports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Last {
    /// What it says.
    #[serde(flatten)]
    pub probe: LastProbe,
    /// How long ago it was.
    #[serde(skip)]
    pub age: Option<Duration>,
}

impl fmt::Display for Last {
    /// In a clause.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = short_age(self.age.unwrap_or_default());
        match &self.probe {
            LastProbe::Never => out.write_str("never probed here"),
            LastProbe::Unreadable { why } => {
                write!(out, "never probed: what is kept cannot be believed: {why}")
            }
            LastProbe::Outdated { changes, .. } => {
                write!(
                    out,
                    "probed {age} ago, which does not count any more: {}",
                    changes.join(", ")
                )
            }
            LastProbe::Held { probed } => write!(
                out,
                "what it claims held {age} ago: {} probes, {} inconclusive",
                probed.held, probed.inconclusive
            ),
            LastProbe::Contradicted { probed } => {
                write!(out, "CONTRADICTED {age} ago: {}", ids(&probed.contradictions))
            }
        }
    }
}
