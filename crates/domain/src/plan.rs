//! A plan exists only if every required demand is met; otherwise a refusal lists all
//! that is missing.

use serde::Serialize;

use crate::control::{Control, ControlKind};
use crate::demand::{Demand, Demands, Need, Origin};
use crate::driver::{Level, SessionKind};
use crate::spec::Spec;
use crate::support::Support;

/// One demand with what the driver says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// What was asked.
    pub demand: Demand,
    /// What will be done.
    pub support: Support,
}

/// What will be enforced, by whom. It cannot be built but by [`Plan::make`], nor read
/// back from bytes: whoever holds one knows that no requirement is unmet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    driver: &'static str,
    level: Level,
    session: SessionKind,
    planned: Vec<Planned>,
    spec: Spec,
}

/// A requirement that this driver cannot meet on this target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What was asked.
    pub control: Control,
    /// Where it was asked for.
    pub origin: Origin,
    /// Why it cannot be had.
    pub why: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// Everything that stands between a policy and a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refusal {
    /// The driver that was asked.
    pub driver: String,
    /// All that is missing, never only the first.
    pub missing: Vec<Missing>,
}

impl Plan {
    /// Asks `support` for every demand.
    ///
    /// # Errors
    /// A [`Refusal`] that lists every required demand which is not enforced.
    pub fn make(
        driver: &'static str,
        level: Level,
        session: SessionKind,
        spec: Spec,
        demands: &Demands,
        support: impl Fn(&Demand) -> Support,
    ) -> Result<Self, Refusal> {
        let planned: Vec<Planned> = demands
            .iter()
            .map(|demand| Planned {
                demand: demand.clone(),
                support: support(demand),
            })
            .collect();
        let missing: Vec<Missing> = planned.iter().filter_map(Missing::from_planned).collect();
        if missing.is_empty() {
            Ok(Self {
                driver,
                level,
                session,
                planned,
                spec,
            })
        } else {
            Err(Refusal {
                driver: driver.to_owned(),
                missing,
            })
        }
    }

    /// The driver the plan is for.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// What will still be shared with the host.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// What can be done inside.
    #[must_use]
    pub fn session(&self) -> SessionKind {
        self.session
    }

    /// What is to be built.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Every demand with its support, in report order.
    #[must_use]
    pub fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// The controls that will be enforced and so need evidence.
    pub fn enforced(&self) -> impl Iterator<Item = &Control> {
        self.planned
            .iter()
            .filter(|planned| planned.support.is_enforced())
            .map(|planned| &planned.demand.control)
    }

    /// True if the control will be enforced.
    #[must_use]
    pub fn enforces(&self, kind: ControlKind) -> bool {
        self.enforced().any(|control| control.kind() == kind)
    }

    /// Preferred controls that will not be enforced: to be printed and recorded.
    pub fn shortfalls(&self) -> impl Iterator<Item = &Planned> {
        self.planned
            .iter()
            .filter(|planned| !planned.support.is_enforced())
    }
}

impl Missing {
    fn from_planned(planned: &Planned) -> Option<Self> {
        if planned.demand.need == Need::Prefer {
            return None;
        }
        let (why, fix) = match &planned.support {
            Support::Enforced { .. } => return None,
            Support::Watched { overshoot, .. } => (
                format!("can only be watched here, not enforced: {overshoot}"),
                Some(format!(
                    "have it watched: --prefer {kind}, or {kind} = \"prefer\" in [need] of a policy",
                    kind = planned.demand.control.kind()
                )),
            ),
            Support::Absent { why, fix } => (why.clone(), fix.clone()),
        };
        Some(Self {
            control: planned.demand.control.clone(),
            origin: planned.demand.origin.clone(),
            why,
            fix,
        })
    }
}

impl Refusal {
    fn text(&self) -> String {
        let count = self.missing.len();
        let noun = if count == 1 { "control" } else { "controls" };
        let mut text = format!(
            "refused: driver {} cannot enforce {count} required {noun}",
            self.driver
        );
        for alike in self.by_reason() {
            let Some(first) = alike.first() else { continue };
            let names: Vec<String> = alike.iter().map(|missing| missing.control.to_string()).collect();
            text.push_str(&format!(
                "\n  {} ({}): {}",
                names.join(", "),
                first.origin,
                first.why
            ));
            if let Some(fix) = &first.fix {
                text.push_str(&format!("\n    fix: {fix}"));
            }
        }
        text
    }

    /// Those of one origin that are missing for one reason with one way out, in the order of the first of
    /// each: a driver that cannot be used at all would say the same of every control.
    fn by_reason(&self) -> Vec<Vec<&Missing>> {
        let mut groups: Vec<Vec<&Missing>> = Vec::new();
        for missing in &self.missing {
            let is_alike = |group: &&mut Vec<&Missing>| {
                group.first().is_some_and(|first| {
                    (&first.origin, &first.why, &first.fix) == (&missing.origin, &missing.why, &missing.fix)
                })
            };
            match groups.iter_mut().find(is_alike) {
                Some(group) => group.push(missing),
                None => groups.push(vec![missing]),
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ControlKind;

    #[test]
    fn a_refusal_says_each_reason_once_and_names_all_controls() {
        let missing = |kind, why: &str, fix: Option<&str>| Missing {
            control: Control::Wall(kind),
            origin: Origin::Default,
            why: why.to_owned(),
            fix: fix.map(str::to_owned),
        };
        let refusal = Refusal {
            driver: "chroot".to_owned(),
            missing: vec![
                missing(ControlKind::NamesHidden, "not root", Some("be root")),
                missing(ControlKind::OwnKernel, "it is the host's", None),
                missing(ControlKind::HomeHidden, "not root", Some("be root")),
            ],
        };
        let expected = "refused: driver chroot cannot enforce 3 required controls\n  \
                        names-hidden, home-hidden (default policy): not root\n    fix: be root\n  \
                        own-kernel (default policy): it is the host's";
        assert_eq!(refusal.to_string(), expected);
    }
}
