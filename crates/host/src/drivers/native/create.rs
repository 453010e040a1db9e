//! Builds one native sandbox.

use std::os::fd::OwnedFd;

use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::target::HostFacts;
use stockade_domain::{Control, ControlKind, Plan};
use stockade_linux::cgroup::{self, Group};
use stockade_linux::compile;
use stockade_linux::idmap::{Extent, Identity};
use stockade_linux::ops::Attestation;
use stockade_workspace::NOBODY;
use stockade_workspace::replica::{COPY, LIST, Owner};
use tokio::net::UnixStream;

use super::{NAME, context, mode, receipt, sources};
use crate::driver::{Boundary, Seed};
use crate::error::{Error, Result};
use crate::local::boundary::LocalBoundary;
use crate::local::jail::workspace;
use crate::local::start::{Isolation, Started};
use crate::local::wall::{Parts, Wall};
use crate::local::{Host, group, identity, layers, setup, talk};

/// Builds the wall, opens the pipe, gathers the receipt.
pub(super) async fn create(host: &Host, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
    let facts = host.facts();
    let claimed = identity::claim(facts, plan.spec(), seed.changes_dir.as_deref())?;
    let limits = group::limits(&plan);
    let early = if host.cgroups().kind() == Some(cgroup::Kind::V2) {
        group::make(NAME, host.cgroups(), limits.as_ref(), &seed)?
    } else {
        None
    };
    let Started {
        mut spawned,
        door,
        link,
        mut image,
        ..
    } = start_guest(&plan, &seed, facts, early.as_ref())?;
    let identity_map = &claimed.identity.map;
    spawned
        .map_ids(identity_map)
        .map_err(|error| Error::building(NAME, "map ids", error.to_string()))?;
    let mut wall = Wall::new(Parts {
        driver: NAME,
        id: seed.id.clone(),
        spawned,
        group: early,
        door: Some(door),
        claimed,
        closed: false,
    })?;
    let mut link = talk::stream(link)?;
    layers::prepare(plan.spec(), &seed, wall.identity())?;
    copy_workspace(&plan, &seed, wall.identity())?;
    let attestation = hand_over(
        host,
        &plan,
        &mut wall,
        &mut link,
        limits.as_ref(),
        &seed,
        &mut image,
    )
    .await?;
    let controls: Vec<Control> = plan.enforced().cloned().collect();
    let copy = seed.changes_dir.as_ref().map(|changes| changes.join(COPY));
    let receipt = receipt::gather(
        &controls,
        plan.spec(),
        copy.as_deref(),
        &wall.observed(),
        &attestation,
    );
    Ok(Box::new(LocalBoundary::new(wall, receipt, link)))
}

/// Makes the private copy, where the mode is that.
fn copy_workspace(plan: &Plan, seed: &Seed, identity: &Identity) -> Result<()> {
    let spec = plan.spec();
    let Some((source, changes)) =
        workspace::to_copy(spec, seed).filter(|_| mode(plan) == Some(WorkspaceMode::Copy))
    else {
        return Ok(());
    };
    workspace::make(
        spec,
        source,
        seed,
        changes.join(COPY),
        changes.join(LIST),
        identity.map.privileged.then(|| owner(identity)).flatten(),
    )
}

/// What the workspace's owner owns is the workload's; the rest is nobody's inside.
fn owner(identity: &Identity) -> Option<Owner> {
    let nobody = |extents: &[Extent]| Some(extents.first()?.outside + NOBODY);
    Some(Owner {
        workload: (identity.host_uid()?, identity.host_gid()?),
        others: (nobody(&identity.map.uids)?, nobody(&identity.map.gids)?),
    })
}

fn start_guest(plan: &Plan, seed: &Seed, facts: &HostFacts, group: Option<&Group>) -> Result<Started> {
    let own_network = plan.spec().network == Network::None || plan.enforces(ControlKind::NetworkNone);
    let join = group.map(|group| group::join_method(NAME, group)).transpose()?;
    let into_cgroup = group::birthplace(join.as_ref(), plan);
    let isolation = Isolation::Namespaces {
        network: own_network,
        privileged: facts.privileged,
    };
    if into_cgroup.is_none()
        && let Some(early) = Started::take_early(&seed.guest, isolation)
    {
        return Ok(early);
    }
    Started::new(NAME, &seed.guest, isolation, into_cgroup)
}

/// Sends the set-up and waits for the answer, within the deadline.
async fn hand_over(
    host: &Host,
    plan: &Plan,
    wall: &mut Wall,
    link: &mut UnixStream,
    limits: Option<&group::Wanted>,
    seed: &Seed,
    image: &mut Option<OwnedFd>,
) -> Result<Attestation> {
    let facts = host.facts();
    let joins_cgroups = limits.is_some() && wall.group().is_none();
    let mut compiled = compile::compile(
        plan,
        &context(
            facts,
            wall.identity(),
            seed.changes_dir.clone(),
            seed.caches_dir.clone(),
            joins_cgroups,
            mode(plan),
        ),
    );
    host.mutate(&mut compiled.program);
    #[cfg(feature = "mutation")]
    crate::mutants::damage_native(&mut compiled);
    if plan.enforces(ControlKind::ProcessStarts) {
        wall.watch_starts()?;
    }
    let identity = wall.identity().clone();
    // Kept until the guest has answered: closing them is work, too.
    let mut opened = None;
    setup::answer(wall, link, seed, &compiled.program, async |wall| {
        if facts.privileged {
            let opened = opened.insert(sources::open(&compiled.requests, &identity)?);
            talk::send_trees(wall.door()?, &opened.trees)?;
        }
        if joins_cgroups {
            wall.set_group(group::make(NAME, host.cgroups(), limits, seed)?);
            talk::send_trees(wall.door()?, &group::tasks(wall)?)?;
        }
        // The guest has enough to do for as long as this takes.
        drop(image.take());
        Ok(())
    })
    .await
}
