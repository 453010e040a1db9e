//! What a driver claims for the user who runs the suite: read from its plan, not typed here.

use std::collections::BTreeMap;

use serde_json::Value;
use stockade_domain::{ControlKind, Demand, Support};

use crate::ensure;
use crate::world::World;
use stockade_probes::{Stop, Verdict, fail};

/// What the plan says of each control.
pub struct Claims(BTreeMap<ControlKind, Support>);

/// How a control that is not in the default policy is asked for.
const ASKED: &[(ControlKind, &[&str])] = &[
    (ControlKind::WorkspaceReadOnly, &["--workspace-mode", "ro"]),
    (ControlKind::WorkspaceProtected, &["--workspace-mode", "live"]),
    (ControlKind::ProcessStarts, &["--audit-processes"]),
    (ControlKind::OwnKernel, &[]),
    (ControlKind::OwnMachine, &[]),
    (ControlKind::Cpu, &["--cpus", "1"]),
    (ControlKind::Memory, &["--memory", "256M"]),
    (ControlKind::Pids, &["--pids", "256"]),
    (ControlKind::Disk, &["--disk", "1G"]),
    (ControlKind::WallTime, &["--timeout", "1h"]),
    (ControlKind::Output, &["--output", "1G"]),
    (ControlKind::OwnKernel, &[]),
];

/// The flags that ask for a control.
fn asked(kind: ControlKind) -> &'static [&'static str] {
    let row = ASKED.iter().find(|(asked, _)| *asked == kind);
    row.map_or(&[], |(_, flags)| flags)
}

/// Whether a control is asked for by a mode of the workspace, of which a run has one.
fn is_of_a_mode(kind: ControlKind) -> bool {
    asked(kind).contains(&"--workspace-mode")
}

impl Claims {
    /// Asks for the plan of everything that the driver may leave out.
    ///
    /// # Errors
    /// It makes no plan even so.
    pub fn read(world: &World) -> Verdict<Self> {
        let mut flags: Vec<&str> = Vec::new();
        for (kind, asks) in ASKED {
            if !is_of_a_mode(*kind) {
                flags.extend(*asks);
                flags.extend(["--prefer", kind.name()]);
            }
        }
        let mut all = plan(world, &flags)?;
        for (kind, asks) in ASKED.iter().filter(|(kind, _)| is_of_a_mode(*kind)) {
            let own = [asks, &["--prefer", kind.name()][..]].concat();
            match plan(world, &own) {
                Ok(own) => all.extend(own),
                // A driver without the mode says so; that it does is checked in place of the behaviour.
                Err(Stop::Failed(why) | Stop::Broken(why)) => {
                    let told = why.lines().find_map(|line| line.split_once("stockade: error: "));
                    let why = told.map_or(why.as_str(), |(_, told)| told).to_owned();
                    all.insert(*kind, Support::absent(why, "another mode of the workspace"));
                }
                Err(skipped) => return Err(skipped),
            }
        }
        ensure!(all.len() > 20, "few controls in the plan: {:?}", all.keys());
        Ok(Self(all))
    }

    /// What it says of a control.
    ///
    /// # Errors
    /// Nothing.
    pub fn of(&self, kind: ControlKind) -> Verdict<&Support> {
        match self.0.get(&kind) {
            Some(support) => Ok(support),
            None => fail(format!("the plan says nothing of {kind}")),
        }
    }

    /// Every control of which the plan speaks, with what it says.
    pub fn iter(&self) -> impl Iterator<Item = (ControlKind, &Support)> {
        self.0.iter().map(|(kind, support)| (*kind, support))
    }
}

/// The rows of a dry run.
fn plan(world: &World, flags: &[&str]) -> Verdict<BTreeMap<ControlKind, Support>> {
    let all = [&["--dry-run", "--json"], flags].concat();
    let text = world.sandbox().flags(&all).run(&["true"])?.expect(0)?.text();
    let told: Value = serde_json::from_str(&text)?;
    let Some(rows) = told["plan"]["planned"].as_array() else {
        return fail(format!("no planned controls in {text}"));
    };
    let mut found = BTreeMap::new();
    for row in rows {
        let demand: Demand = serde_json::from_value(row["demand"].clone())?;
        found.insert(
            demand.control.kind(),
            serde_json::from_value(row["support"].clone())?,
        );
    }
    Ok(found)
}

/// That a policy which requires a control is refused before anything runs, and by its name: the
/// honest half of not claiming it.
///
/// # Errors
/// It ran, or the refusal does not say why.
pub fn refused_if_required(world: &World, kind: ControlKind) -> Verdict {
    let mut flags: Vec<&str> = asked(kind).to_vec();
    flags.extend(["--require", kind.name()]);
    if !is_of_a_mode(kind) {
        flags.extend(["--workspace-mode", "rw"]);
    }
    let finished = world.requiring(kind).flags(&flags).run(&["touch", "ran"])?;
    ensure!(
        !world.path("work/ran").exists(),
        "{kind} is required and not claimed, and the command ran"
    );
    finished.expect(125)?.complains(&[kind.name()]).map(drop)
}
