//! Results that are kept: one that still counts is told again instead of attacking anew.

use stockade_host::probed::{Circumstances, Contradiction, Probed};
use stockade_probes::report::{DriverReport, Outcome, Report, Row};

use super::super::{Result, driver, probed, state, state_path};

/// The report of a driver's last whole probe, if it still counts. One that cannot be read does not.
///
/// # Errors
/// What it depends on cannot be found out.
pub(super) fn still_valid(name: &str) -> Result<Option<DriverReport>> {
    let last = probed::last(driver(name)?.as_ref())?;
    let (Some(state), Some(probed)) = (state_path(), last.probe.valid()) else {
        return Ok(None);
    };
    let Ok(bytes) = probed.report(&state) else {
        return Ok(None);
    };
    Ok(parse(&bytes, name).map(|report| DriverReport {
        kept_for_ms: last
            .age
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        ..report
    }))
}

fn parse(bytes: &[u8], name: &str) -> Option<DriverReport> {
    let report: Report = serde_json::from_slice(bytes).ok()?;
    let is_ours = report.version == Report::VERSION;
    let mut drivers = report.drivers.into_iter().filter(|_| is_ours);
    drivers.find(|one| one.driver == name)
}

/// A probe whose result will be kept.
pub(super) struct Keeping<'a> {
    blank: &'a Report,
    /// What the result will depend on, or why that cannot be found out.
    before: std::result::Result<Circumstances, String>,
}

impl<'a> Keeping<'a> {
    /// Notes what the result will depend on.
    pub fn begin(name: &str, blank: &'a Report) -> Self {
        Self {
            blank,
            before: circumstances(name),
        }
    }

    /// Keeps it; why not, otherwise. What could not be probed has no result.
    pub fn end(self, report: &DriverReport) -> Option<String> {
        if report.unusable.is_some() {
            return None;
        }
        let kept = self.before.and_then(|before| {
            let after = circumstances(&report.driver)?;
            if after != before {
                return Err(format!("meanwhile {}", before.changes(&after).join(", ")));
            }
            keep(self.blank, report, before).map_err(|error| error.to_string())
        });
        let why = kept.err()?;
        Some(format!("the result of {} is not kept: {why}", report.driver))
    }
}

fn circumstances(name: &str) -> std::result::Result<Circumstances, String> {
    let now = driver(name).and_then(|driver| probed::circumstances(driver.as_ref()));
    now.map_err(|error| error.to_string())
}

fn keep(blank: &Report, report: &DriverReport, circumstances: Circumstances) -> Result<()> {
    let whole = Report {
        drivers: vec![report.clone()],
        ..blank.clone()
    };
    let bytes = serde_json::to_vec(&whole).map_err(std::io::Error::from)?;
    Ok(short(report, circumstances).keep(state()?.as_ref(), &bytes)?)
}

/// What each start of a sandbox looks at.
fn short(report: &DriverReport, circumstances: Circumstances) -> Probed {
    let crossed = report.probes.iter().filter(|row| row.outcome == Outcome::NotHeld);
    let mut probed = Probed::now(&report.driver, circumstances);
    probed.held = report.count(Outcome::Held);
    probed.inconclusive = report.count(Outcome::Inconclusive);
    probed.contradictions = crossed.map(contradiction).collect();
    probed
}

fn contradiction(row: &Row) -> Contradiction {
    Contradiction {
        probe: row.id.clone(),
        title: row.title.clone(),
        controls: row.needs.clone(),
    }
}
