//! What this host can do.

use serde::Serialize;
use stockade_host::doctor::{self, Check, DriverReport, Observed, Verdict};

use super::probed::{self, Last};
use super::{Result, driver, drivers};

/// The driver that knows most about this host.
const NATIVE: &str = "native";

/// All answers, and what they follow from.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// The program's version.
    pub version: &'static str,
    /// The default run was tried, and works.
    pub works: bool,
    /// Each driver with the default policy.
    pub drivers: Vec<DriverReport>,
    /// What is known of each from probes, in the same order.
    pub probed: Vec<Last>,
    /// The questions, each with its answer.
    pub checks: Vec<Check>,
    /// Everything that was seen.
    pub observed: Observed,
}

/// Looks at this host.
///
/// # Errors
/// The host cannot be looked at as a whole; a single question without an answer is none.
pub async fn diagnose() -> Result<Diagnosis> {
    // The facts of this host are the same for every driver on it.
    let target = driver(NATIVE)?.survey().await?;
    let observed = doctor::gather(&std::env::current_exe()?, target).await?;
    let (mut reports, mut probed) = (Vec::new(), Vec::new());
    for driver in drivers()? {
        let target = driver.survey().await?;
        reports.push(doctor::driver_report(driver.as_ref(), &target));
        probed.push(probed::last(driver.as_ref())?);
    }
    let checks = doctor::checks(&observed);
    Ok(Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        works: works(&checks),
        drivers: reports,
        probed,
        checks,
        observed,
    })
}

/// Only a run that was seen to work does.
pub fn works(checks: &[Check]) -> bool {
    let run = checks.iter().find(|check| check.id == "default-run");
    run.is_some_and(|check| matches!(check.verdict, Verdict::Ok { .. }))
}
