//! What a reader may require of evidence, for a pipeline's gate.

use std::fmt;
use std::str::FromStr;

use stockade_domain::spec::Network;
use stockade_domain::units::DurationMs;
use stockade_domain::{ControlKind, Level};

use super::Run;

/// One requirement: `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The wall is at least this strong.
    Level(Level),
    /// This driver.
    Driver(String),
    /// No more could be reached than this.
    Network(Reach),
    /// This control was enforced and verified.
    Control(ControlKind),
    /// This policy.
    Policy(String),
    /// These changes.
    Changes(String),
    /// The command ended with this code.
    Exit(i32),
    /// The probes of this driver held.
    ProbesHeld,
    /// It ended at most so long ago.
    MaxAge(DurationMs),
}

/// How far a network reaches, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing.
    None,
    /// What a list names.
    Allowlist,
}

/// What was written is no requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no requirement: {why}")]
pub struct DemandError {
    text: String,
    why: String,
}

/// A requirement that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Which.
    pub demand: Demand,
    /// What the evidence says instead.
    pub found: String,
}

const LEVELS: [(&str, Level); 5] = [
    ("jail", Level::Jail),
    ("container", Level::Container),
    ("kernel", Level::Kernel),
    ("vm", Level::Vm),
    ("machine", Level::Machine),
];

fn level_name(level: Level) -> &'static str {
    LEVELS
        .iter()
        .find(|(_, known)| *known == level)
        .map_or("?", |(name, _)| name)
}

impl fmt::Display for Demand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(out, "level={}", level_name(*level)),
            Self::Driver(name) => write!(out, "driver={name}"),
            Self::Network(Reach::None) => write!(out, "network=none"),
            Self::Network(Reach::Allowlist) => write!(out, "network=allowlist"),
            Self::Control(kind) => write!(out, "control={kind}"),
            Self::Policy(hash) => write!(out, "policy={hash}"),
            Self::Changes(hash) => write!(out, "changes={hash}"),
            Self::Exit(code) => write!(out, "exit={code}"),
            Self::ProbesHeld => write!(out, "probes=held"),
            Self::MaxAge(age) => write!(out, "max-age={age}"),
        }
    }
}

impl FromStr for Demand {
    type Err = DemandError;

    fn from_str(text: &str) -> Result<Self, DemandError> {
        let refuse = |why: &str| DemandError {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (key, value) = text.split_once('=').ok_or_else(|| refuse("write KEY=VALUE"))?;
        match (key, value) {
            ("level", name) => {
                let known = LEVELS.iter().find(|(known, _)| *known == name);
                let known =
                    known.ok_or_else(|| refuse("levels are jail, container, kernel, vm and machine"))?;
                Ok(Self::Level(known.1))
            }
            ("driver", name) if !name.is_empty() => Ok(Self::Driver(name.to_owned())),
            ("network", "none") => Ok(Self::Network(Reach::None)),
            ("network", "allowlist") => Ok(Self::Network(Reach::Allowlist)),
            ("network", _) => Err(refuse("networks are none and allowlist")),
            ("control", name) => {
                let kind = ControlKind::named(name);
                Ok(Self::Control(
                    kind.ok_or_else(|| refuse("there is no such control"))?,
                ))
            }
            ("policy", hash) if is_hash(hash) => Ok(Self::Policy(hash.to_owned())),
            ("changes", hash) if is_hash(hash) => Ok(Self::Changes(hash.to_owned())),
            ("policy" | "changes", _) => Err(refuse("a hash has 64 hexadecimal digits in lower case")),
            ("exit", code) => {
                let code = code.parse().map_err(|_| refuse("an exit code is a number"))?;
                Ok(Self::Exit(code))
            }
            ("probes", "held") => Ok(Self::ProbesHeld),
            ("probes", _) => Err(refuse("probes can be held")),
            ("max-age", age) => {
                let age = age.parse().map_err(|_| refuse("an age is like 30m or 24h"))?;
                Ok(Self::MaxAge(age))
            }
            _ => Err(refuse(
                "keys are level, driver, network, control, policy, changes, exit, probes and max-age",
            )),
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Demand {
    /// Whether a run meets it; `now_ms` is the clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// What the evidence says instead.
    pub fn check(&self, run: &Run, now_ms: u64) -> Result<(), Unmet> {
        let found = match self {
            Self::Level(least) => (run.level < *least).then(|| format!("level={}", level_name(run.level))),
            Self::Driver(name) => (run.driver != *name).then(|| format!("driver={}", run.driver)),
            Self::Network(most) => {
                let (reached, name) = match run.policy.network {
                    Network::None => (Some(Reach::None), "none"),
                    Network::Host => (None, "host"),
                };
                let is_met = reached.is_some_and(|reached| reached <= *most);
                (!is_met).then(|| format!("network={name}"))
            }
            Self::Control(kind) => self.control(*kind, run),
            Self::Policy(hash) => {
                (run.policy.sha256 != *hash).then(|| format!("policy={}", run.policy.sha256))
            }
            Self::Changes(hash) => match &run.changes {
                Some(changes) if changes.digest.sha256 == *hash => None,
                Some(changes) => Some(format!("changes={}", changes.digest.sha256)),
                None => Some("no changes".to_owned()),
            },
            Self::Exit(code) => (run.ending.code() != *code).then(|| format!("exit={}", run.ending.code())),
            Self::ProbesHeld => match &run.probes {
                Some(probes) if probes.held => None,
                Some(_) => Some("a probe did not hold".to_owned()),
                None => Some("nothing is known of probes".to_owned()),
            },
            Self::MaxAge(age) => match now_ms.checked_sub(run.ended_at_ms) {
                Some(passed) if passed <= age.0 => None,
                Some(passed) => Some(format!("it ended {} ago", DurationMs(passed))),
                None => Some("it ended in the future".to_owned()),
            },
        };
        match found {
            None => Ok(()),
            Some(found) => Err(Unmet {
                demand: self.clone(),
                found,
            }),
        }
    }

    /// A control without anything that was seen of it is none.
    fn control(&self, kind: ControlKind, run: &Run) -> Option<String> {
        let controls = &run.controls;
        let is_verified = controls
            .iter()
            .any(|it| it.control == kind && !it.evidence.is_empty());
        (!is_verified).then(|| match run.not_enforced.get(&kind) {
            Some(why) => format!("not enforced: {why}"),
            None => "it was not asked for".to_owned(),
        })
    }
}
