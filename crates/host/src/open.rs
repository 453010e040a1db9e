//! From demands to a standing sandbox: plan or refuse, create, check the receipt or destroy.

use std::sync::Arc;

use stockade_domain::{Demands, Plan, Spec, Target};

use crate::driver::{Boundary, Driver, Leftover, LeftoverKind, Seed};
use crate::error::{Error, Result};

/// Asks a driver for every demand.
///
/// # Errors
/// [`Error::Refused`] with all that is missing.
pub fn plan(driver: &dyn Driver, target: &Target, spec: Spec, demands: &Demands) -> Result<Plan> {
    let level = driver.level(target, demands);
    let session = driver.session(target);
    let plan = Plan::make(driver.name(), level, session, spec, demands, |demand| {
        driver.support(target, demand)
    })?;
    Ok(plan)
}

/// Creates the sandbox and lets it live only if its receipt shows what was planned.
///
/// # Errors
/// What `create` says, or [`Error::Discrepancy`]; a failing removal is added to it and never
/// replaces it.
pub async fn open(driver: &Arc<dyn Driver>, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
    let mut boundary = driver.create(plan, seed).await?;
    #[cfg(feature = "mutation")]
    if crate::mutants::is_damaged() {
        return Ok(boundary);
    }
    let Err(discrepancy) = boundary.receipt().check() else {
        return Ok(boundary);
    };
    let leftovers = match boundary.destroy().await {
        Ok(leftovers) => leftovers,
        Err(error) => vec![unknown_leftover(boundary.as_ref(), &error)],
    };
    Err(Error::from(discrepancy).with_leftovers(leftovers))
}

/// What a driver could not even name.
pub(crate) fn unknown_leftover(boundary: &dyn Boundary, error: &Error) -> Leftover {
    let record = boundary.record();
    Leftover {
        driver: record.driver,
        id: record.id,
        kind: LeftoverKind::Engine,
        place: error.to_string(),
    }
}
