//! From a threat to a driver: the lightest wall that is strong enough, with reasons, and why not the
//! others.
//!
//! ```text
//! threat      the questions and their answers
//! rules       what follows from them (rules.toml)
//! strategies  what there is to choose from (strategies.toml)
//! ```

pub mod rules;
pub mod strategies;
pub mod threat;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::control::ControlKind;
use crate::driver::Level;
use rules::Rule;
pub use strategies::Strategy;
use threat::Answer;
pub use threat::Threat;

/// What this host has of one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Here {
    /// It builds sandboxes here.
    Yes {
        /// What was measured of it, a line each.
        measured: Vec<String>,
        /// From nothing to the first output, where that was measured, in milliseconds.
        start_ms: Option<u64>,
    },
    /// It does not.
    No {
        /// Why not, and what to do.
        why: String,
    },
}

/// What is known of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostHas {
    /// Its strategies by name. One that is not named is not there.
    pub strategies: BTreeMap<String, Here>,
    /// Physical memory, in MiB.
    pub memory_mib: u64,
    /// The kind of encrypted memory for guests that it has, if any: `SEV`, `TDX`.
    pub enclave: Option<String>,
}

/// A strategy that is strong enough and fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ranked {
    /// The strategy.
    pub strategy: Strategy,
    /// Why it is here, and why it is where it is in the order.
    pub reasons: Vec<Reason>,
    /// What was measured of it here.
    pub measured: Vec<String>,
    /// Why it cannot be had here, if so.
    pub missing: Option<String>,
}

/// A strategy that is not, with every reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its name.
    pub name: String,
    /// All that speaks against it.
    pub why: Vec<Reason>,
}

/// A reason and the rule that gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The rule's id; none for what was asked for directly.
    pub rule: Option<String>,
    /// In words.
    pub text: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The weakest level that is enough.
    pub level: Level,
    /// What asks for it.
    pub because: Vec<Reason>,
    /// What can be had here, the best first.
    pub ranked: Vec<Ranked>,
    /// What would do and cannot be had here, the best first.
    pub elsewhere: Vec<Ranked>,
    /// What will not do.
    pub rejected: Vec<Rejected>,
    /// Controls that the policy has to require.
    pub demands: Vec<ControlKind>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A table has a mistake.
#[derive(Debug, thiserror::Error)]
#[error("the table of {what} cannot be read: {cause}")]
pub struct TableError {
    what: &'static str,
    cause: toml::de::Error,
}

/// Chooses.
///
/// # Errors
/// One of the tables has a mistake.
pub fn advise(threat: &Threat, host: &HostHas) -> Result<Advice, TableError> {
    let table = |what| move |cause| TableError { what, cause };
    let rules = rules::all().map_err(table("rules"))?;
    let strategies = strategies::all().map_err(table("strategies"))?;
    let rules: Vec<Rule> = rules.into_iter().filter(|rule| rule.applies(threat)).collect();
    let level = rules
        .iter()
        .filter_map(|rule| rule.level)
        .max()
        .unwrap_or(Level::Jail);
    let (mut ranked, mut elsewhere, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    for strategy in strategies {
        let against = against(&strategy, threat, host, level, &rules);
        if !against.is_empty() {
            rejected.push(Rejected {
                name: strategy.name,
                why: against,
            });
            continue;
        }
        let one = rank(strategy, host, &rules);
        if one.missing.is_none() {
            ranked.push(one)
        } else {
            elsewhere.push(one)
        }
    }
    let order = |one: &Ranked| order(&one.strategy, threat, &rules);
    ranked.sort_by_key(order);
    elsewhere.sort_by_key(order);
    let best = ranked.first().or(elsewhere.first());
    let notes = notes(&rules, best.map(|best| best.strategy.level), host);
    Ok(Advice {
        level,
        because: because(&rules, level),
        demands: rules
            .iter()
            .flat_map(|rule| rule.demand.iter().copied())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ranked,
        elsewhere,
        rejected,
        notes,
    })
}

/// The rules that ask for the level itself.
fn because(rules: &[Rule], level: Level) -> Vec<Reason> {
    let asking = rules.iter().filter(|rule| rule.level == Some(level));
    asking.map(|rule| reason(rule, rule.why.clone())).collect()
}

fn reason(rule: &Rule, text: String) -> Reason {
    Reason {
        rule: Some(rule.id.clone()),
        text,
    }
}

fn plain(text: String) -> Reason {
    Reason { rule: None, text }
}

/// Everything that rules a strategy out.
fn against(
    strategy: &Strategy,
    threat: &Threat,
    host: &HostHas,
    level: Level,
    rules: &[Rule],
) -> Vec<Reason> {
    let mut all = Vec::new();
    for rule in rules {
        let weak = rule
            .level
            .is_some_and(|asked| asked > strategy.level && asked == level);
        if weak {
            all.push(reason(rule, format!("it is too weak: {}", rule.why)));
        } else if rule.never.contains(&strategy.name) {
            all.push(reason(rule, rule.why.clone()));
        }
    }
    for need in threat.needs.iter().filter(|need| !strategy.gives.contains(need)) {
        all.push(plain(format!("it does not give {}", need.meaning())));
    }
    for only in strategy
        .only_for
        .iter()
        .filter(|only| !threat.needs.contains(only))
    {
        all.push(plain(format!("it is for {} alone", only.meaning())));
    }
    if !strategy.systems.contains(&threat.system) {
        all.push(plain(format!("it does not run on {}", threat.system.meaning())));
    }
    if strategy.paid && !threat.paid {
        all.push(plain("it costs money by the hour".to_owned()));
    }
    let starts = measured_start(strategy, host).unwrap_or(strategy.start_ms);
    if let Some(most) = threat.start_ms.filter(|most| starts > *most) {
        all.push(plain(format!(
            "it takes about {starts} ms to start, more than {most} ms"
        )));
    }
    let takes = strategy.memory_mib.saturating_mul(u64::from(threat.agents));
    if host.memory_mib > 0 && takes > host.memory_mib {
        all.push(plain(format!(
            "{} of it take about {takes} MiB before they do anything, and the host has {} MiB",
            threat.agents, host.memory_mib
        )));
    }
    all
}

fn measured_start(strategy: &Strategy, host: &HostHas) -> Option<u64> {
    match host.strategies.get(&strategy.name) {
        Some(Here::Yes { start_ms, .. }) => *start_ms,
        Some(Here::No { .. }) | None => None,
    }
}

fn rank(strategy: Strategy, host: &HostHas, rules: &[Rule]) -> Ranked {
    let mut reasons = vec![plain(strategy.about.clone())];
    let points = |rule: &Rule| rule.favour.get(&strategy.name).copied().unwrap_or(0);
    for rule in rules {
        match points(rule) {
            0 => {}
            less if less < 0 => reasons.push(reason(rule, format!("against it: {}", rule.why))),
            _ => reasons.push(reason(rule, rule.why.clone())),
        }
    }
    let (measured, missing) = match host.strategies.get(&strategy.name) {
        Some(Here::Yes { measured, .. }) => (measured.clone(), None),
        Some(Here::No { why }) => (Vec::new(), Some(why.clone())),
        None => (
            Vec::new(),
            Some("this version of Stockade does not drive it".to_owned()),
        ),
    };
    Ranked {
        strategy,
        reasons,
        measured,
        missing,
    }
}

/// The lightest level first; within it what the rules favour, then what takes the least effort and time.
fn order(strategy: &Strategy, threat: &Threat, rules: &[Rule]) -> (Level, i32, u32, u64) {
    let points = rules.iter().filter_map(|rule| rule.favour.get(&strategy.name));
    let points: i32 = points.sum();
    // Where somebody pays for it, a machine of its own is no heavier than a virtual one.
    let level = if threat.paid && strategy.paid {
        Level::Vm
    } else {
        strategy.level
    };
    (level, -points, strategy.effort, strategy.start_ms)
}

/// What the rules say beside the choice, and what the host has.
fn notes(rules: &[Rule], chosen: Option<Level>, host: &HostHas) -> Vec<String> {
    let speaks = |rule: &&Rule| {
        rule.when.level_is.is_empty() || chosen.is_some_and(|level| rule.when.level_is.contains(&level))
    };
    let mut notes: Vec<String> = rules
        .iter()
        .filter(speaks)
        .filter_map(|rule| rule.note.clone())
        .collect();
    if let Some(kind) = &host.enclave {
        notes.push(format!(
            "this host has {kind}: memory of guests that its operator cannot read"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
