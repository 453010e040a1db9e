//! What each driver could do here with the default policy, decided by the same functions as a
//! run decides by.

use serde::Serialize;
use stockade_domain::policy::{HostDefaults, Policy};
use stockade_domain::target::Facts;
use stockade_domain::{Level, Need, Support, Target};

use crate::driver::Driver;

/// One driver on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriverReport {
    /// Its name.
    pub name: &'static str,
    /// What a sandbox would share with the host.
    pub level: Level,
    /// Controls that the default policy requires and that it cannot enforce here: it would
    /// refuse the default run.
    pub refused: Vec<Shortfall>,
    /// Controls that the default policy prefers and that it cannot enforce here.
    pub without: Vec<Shortfall>,
}

/// A control that a driver cannot enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// The control.
    pub control: &'static str,
    /// Why not.
    pub why: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// Asks a driver for every demand of the default policy.
#[must_use]
pub fn driver_report(driver: &dyn Driver, target: &Target) -> DriverReport {
    let Facts::Host(facts) = &target.facts;
    let demands = Policy::defaults(&HostDefaults::from(facts.as_ref())).demands();
    let (mut refused, mut without) = (Vec::new(), Vec::new());
    for demand in demands.iter() {
        let Support::Absent { why, fix } = driver.support(target, demand) else {
            continue;
        };
        let shortfall = Shortfall {
            control: demand.control.kind().name(),
            why,
            fix,
        };
        match demand.need {
            Need::Require => refused.push(shortfall),
            Need::Prefer => without.push(shortfall),
        }
    }
    DriverReport {
        name: driver.name(),
        level: driver.level(target, &demands),
        refused,
        without,
    }
}
