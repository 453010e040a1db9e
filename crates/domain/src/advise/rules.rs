//! The rules: from answers to what is asked of a wall. They are data, for a security person to read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::threat::{Ability, Code, Data, Lifetime, Network, Purpose, Reads, System, Tenancy, Threat};
use crate::control::ControlKind;
use crate::driver::Level;

/// The table that comes with the program.
const TABLE: &str = include_str!("rules.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable, for reports.
    pub id: String,
    /// All of these have to hold.
    pub when: Condition,
    /// At least this level.
    #[serde(default)]
    pub level: Option<Level>,
    /// Ruled out.
    #[serde(default)]
    pub never: Vec<String>,
    /// Points among those that are strong enough.
    #[serde(default)]
    pub favour: BTreeMap<String, i32>,
    /// Controls that the policy requires, by name.
    #[serde(default)]
    pub demand: Vec<ControlKind>,
    /// What a person should know.
    #[serde(default)]
    pub note: Option<String>,
    /// The reason.
    pub why: String,
    /// Where it comes from.
    pub source: String,
}

/// Conditions: each that is there has to hold, and one of its answers is enough for that.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    code: Vec<Code>,
    reads: Vec<Reads>,
    data: Vec<Data>,
    network: Vec<Network>,
    tenancy: Vec<Tenancy>,
    lifetime: Vec<Lifetime>,
    system: Vec<System>,
    purpose: Vec<Purpose>,
    needs: Vec<Ability>,
    agents_from: Option<u32>,
    agents_to: Option<u32>,
    /// The level of the one that was chosen: such a rule only speaks of it.
    pub level_is: Vec<Level>,
}

impl Rule {
    /// Whether the answers meet its conditions.
    #[must_use]
    pub fn applies(&self, threat: &Threat) -> bool {
        let when = &self.when;
        let one_of_needs = when.needs.is_empty() || when.needs.iter().any(|need| threat.needs.contains(need));
        has(&when.code, &threat.code)
            && has(&when.reads, &threat.reads)
            && has(&when.data, &threat.data)
            && has(&when.network, &threat.network)
            && has(&when.tenancy, &threat.tenancy)
            && has(&when.lifetime, &threat.lifetime)
            && has(&when.system, &threat.system)
            && has(&when.purpose, &threat.purpose)
            && one_of_needs
            && when.agents_from.is_none_or(|from| threat.agents >= from)
            && when.agents_to.is_none_or(|to| threat.agents <= to)
    }
}

fn has<T: PartialEq>(answers: &[T], given: &T) -> bool {
    answers.is_empty() || answers.contains(given)
}

/// Every rule of the table.
///
/// # Errors
/// The table has a mistake; a test reads it.
pub fn all() -> Result<Vec<Rule>, toml::de::Error> {
    toml::from_str::<Table>(TABLE).map(|table| table.rule)
}
