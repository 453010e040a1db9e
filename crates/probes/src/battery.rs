//! Runs the catalogue against a driver.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use stockade_domain::{ControlKind, Support};

use crate::ground::Ground;
use crate::probe::Probe;
use crate::report::{ControlRow, DriverReport, Outcome, Row};
use crate::rpc::RpcWall;
use crate::verdict::{Stop, Verdict, broken};
use crate::wall::Field;

/// Bytes of an explanation that a report keeps.
const MAX_DETAIL: usize = 2_000;

/// A driver that is to be probed.
pub struct Subject {
    /// Its name.
    pub driver: String,
    /// What it says of each control that can be demanded.
    pub claims: Vec<(ControlKind, Support)>,
    /// The flags of every sandbox: the driver, and what it gives up.
    pub flags: Vec<String>,
    /// Why it is no wall at all for whoever runs this.
    pub refused: Option<String>,
}

/// What is run.
pub struct Battery {
    /// The program that makes sandboxes.
    pub program: PathBuf,
    /// The inside half.
    pub payload: PathBuf,
    /// Where sandboxes have their state, as `XDG_STATE_HOME` names it.
    pub state: PathBuf,
    /// The probes, with their groups.
    pub probes: Vec<(&'static str, &'static Probe)>,
}

impl Battery {
    /// Attacks a driver; `told` hears of each probe before it is tried, and may stop everything: what was
    /// planted is removed then as well.
    ///
    /// # Errors
    /// The battery itself cannot work here, or was stopped.
    pub fn attack(
        &self,
        subject: &Subject,
        told: &mut dyn FnMut(&Probe) -> ControlFlow<()>,
    ) -> Verdict<DriverReport> {
        let begun = Instant::now();
        // A copy: what controls do to it, they must not do to what is installed.
        let place = tempfile::tempdir()?;
        let payload = place.path().join("attack");
        std::fs::copy(&self.payload, &payload)?;
        let ground = Ground::new(&payload)?.with_state(self.state.clone());
        let wall = RpcWall::new(&self.program, subject.flags.clone(), &ground);
        let unusable = subject
            .refused
            .clone()
            .or_else(|| wall.is_possible().err().map(Stop::why));
        let field = Field {
            ground: &ground,
            wall: &wall,
        };
        let mut probes = Vec::new();
        if unusable.is_none() {
            for (group, probe) in &self.probes {
                if told(probe).is_break() {
                    return broken("it was interrupted");
                }
                probes.push(row(group, probe, subject, &field));
            }
        }
        Ok(DriverReport {
            driver: subject.driver.clone(),
            controls: controls(subject, &probes),
            unusable,
            probes,
            took_ms: milliseconds(begun),
            kept_for_ms: None,
        })
    }
}

/// Tries one.
fn row(group: &str, probe: &Probe, subject: &Subject, field: &Field) -> Row {
    let begun = Instant::now();
    let claimed = probe.needs.iter().all(|kind| subject.claims(*kind));
    let (outcome, detail) = match probe.run(field) {
        Ok(()) if claimed => (Outcome::Held, None),
        Ok(()) => (Outcome::Bonus, None),
        Err(Stop::Failed(why)) if claimed => (Outcome::NotHeld, Some(why)),
        Err(Stop::Failed(why)) => (Outcome::NotExpected, Some(why)),
        Err(Stop::Skipped(why) | Stop::Broken(why)) => (Outcome::Inconclusive, Some(why)),
    };
    Row {
        id: probe.id.to_owned(),
        group: group.to_owned(),
        title: probe.title.to_owned(),
        severity: probe.severity,
        needs: probe.needs.to_vec(),
        outcome,
        detail: detail.map(|why| why.chars().take(MAX_DETAIL).collect()),
        took_ms: milliseconds(begun),
    }
}

/// What the probes say of each control.
fn controls(subject: &Subject, rows: &[Row]) -> Vec<ControlRow> {
    let claims = subject.claims.iter();
    claims
        .map(|(control, claim)| {
            let mut probes = BTreeMap::new();
            for row in rows.iter().filter(|row| row.needs.contains(control)) {
                *probes.entry(row.outcome).or_insert(0) += 1;
            }
            ControlRow {
                control: *control,
                claim: claim.clone(),
                probes,
            }
        })
        .collect()
}

impl Subject {
    /// Whether it says that a control stands. A limit that is watched is said to stand, too.
    #[must_use]
    pub fn claims(&self, kind: ControlKind) -> bool {
        let claim = self.claims.iter().find(|(claimed, _)| *claimed == kind);
        claim.is_some_and(|(_, support)| !matches!(support, Support::Absent { .. }))
    }
}

fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
