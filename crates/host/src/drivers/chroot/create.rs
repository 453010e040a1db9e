//! Builds one chroot sandbox.

use std::path::Path;
use std::time::Instant;

use rustix::thread::CapabilitySet;
use stockade_domain::target::HostFacts;
use stockade_domain::{ControlKind, Plan};
use stockade_linux::idmap::Identity;
use stockade_linux::jail::Context;

use super::build::{Who, build, refuse};
use super::{NAME, places, receipt};
use crate::driver::{Boundary, Seed};
use crate::error::{Error, Result};
use crate::local::jail::{self, Jail};
use crate::local::{Host, identity};

/// The root, in the sandbox's directory.
const ROOT: &str = "root";

/// Builds the root, then the wall, and gathers the receipt.
pub(super) async fn create(host: &Host, plan: Plan, mut seed: Seed) -> Result<Box<dyn Boundary>> {
    let facts = host.facts();
    let spec = plan.spec();
    refuse(spec)?;
    let claimed = identity::claim_range(spec, seed.changes_dir.as_deref())?;
    let who = who(&claimed.identity)?;
    let root = seed.state_dir.join(ROOT);
    let begun = Instant::now();
    let landlock = plan.enforces(ControlKind::SecondWall);
    let built = build(spec, &root, who, &seed, landlock).await?;
    // It has bounds of its own; the deadline is for what waits for somebody.
    seed.deadline += begun.elapsed();
    let closed = !can_look_inside();
    let jail = Jail {
        driver: NAME,
        host,
        claimed,
        context: context(&plan, facts, who, &root, true),
        closed,
        after: Some(Box::new({
            let root = root.clone();
            move || built.pool.give_back(&root, built.lent)
        })),
        carried: None,
    };
    jail::create(jail, &plan, &seed, |controls, observed, attestation| {
        receipt::gather(controls, &root, plan.spec(), observed, attestation)
    })
    .await
}

/// What the steps depend on besides the plan.
pub(super) fn context(plan: &Plan, facts: &HostFacts, who: Who, root: &Path, built: bool) -> Context {
    let spec = plan.spec();
    let landlock = plan.enforces(ControlKind::SecondWall);
    Context {
        ids: Some(who.workload),
        root: Some(root.to_owned()),
        joins_cgroups: false,
        landlock_abi: facts.landlock_abi,
        rules: landlock.then(|| places::rules(spec, built.then_some(root))),
        canaries: if landlock { places::canaries() } else { Vec::new() },
        writable: places::writable(spec),
        moved: Vec::new(),
    }
}

/// The ids of a range.
pub(super) fn who(identity: &Identity) -> Result<Who> {
    let unmapped = || Error::building(NAME, "take ids of its own", "they are in no range".to_owned());
    let first = |extents: &[stockade_linux::idmap::Extent]| extents.first().map(|extent| extent.outside);
    let host = (identity.host_uid(), identity.host_gid());
    let others = (first(&identity.map.uids), first(&identity.map.gids));
    match (host, others) {
        ((Some(uid), Some(gid)), (Some(other_uid), Some(other_gid))) => Ok(Who {
            workload: (uid, gid),
            others: (other_uid, other_gid),
            told: (identity.uid, identity.gid),
        }),
        _ => Err(unmapped()),
    }
}

/// Root in a container may have no right to look into processes of other ids.
fn can_look_inside() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}
