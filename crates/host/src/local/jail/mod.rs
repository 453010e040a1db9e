//! Jails: sandboxes whose guest shares all namespaces with the host, behind Landlock, the filter
//! and ids. What the drivers of such sandboxes have in common.

pub(crate) mod receipt;
mod strays;
pub(crate) mod workspace;

use stockade_domain::{Control, Plan, Receipt};
use stockade_linux::cgroup::{self, Group};
use stockade_linux::jail::{Context, compile};
use stockade_linux::ops::Attestation;
use tokio::net::UnixStream;

use super::boundary::{After, LocalBoundary};
use super::identity::Claimed;
use super::start::{Isolation, Started};
use super::wall::{Observed, Parts, Wall};
use super::{Host, group, setup, talk};
use crate::driver::{Boundary, Carried, Seed};
use crate::error::Result;

/// What a driver of jails adds to a plan.
pub(crate) struct Jail<'a> {
    pub driver: &'static str,
    pub host: &'a Host,
    pub claimed: Claimed,
    pub context: Context,
    /// The supervisor has no right to look into the guest's process.
    pub closed: bool,
    /// Done once, when nothing of the sandbox runs any more.
    pub after: Option<After>,
    /// The workspace, where it travels over the link.
    pub carried: Option<Carried>,
}

/// Starts the guest, hands it the steps, and gathers the receipt. What is to be done after the sandbox is done
/// as well where none comes of it.
pub(crate) async fn create(
    jail: Jail<'_>,
    plan: &Plan,
    seed: &Seed,
    gather: impl FnOnce(&[Control], &Observed<'_>, &Attestation) -> Receipt,
) -> Result<Box<dyn Boundary>> {
    let Jail {
        driver,
        host,
        claimed,
        context,
        closed,
        after,
        carried,
    } = jail;
    let (mut wall, link) = match raise(driver, host, (claimed, closed), plan, seed) {
        Ok(raised) => raised,
        Err(error) => {
            // Nobody has had its ids yet.
            after.into_iter().for_each(|after| after());
            return Err(error);
        }
    };
    // Where the ids are the sandbox's own, whatever still has them belongs to it. They are until the wall is
    // dropped.
    let own_id = context.ids.map(|(uid, _)| uid);
    let after = after.map(|after| strays::unless_any(own_id, after));
    match furnish(&mut wall, link, (host, context), plan, seed, gather).await {
        Ok((receipt, link)) => Ok(Box::new(
            LocalBoundary::new(wall, receipt, link)
                .with_after(after)
                .with_carried(carried),
        )),
        Err(error) => {
            // What failed first is what is told.
            if wall.destroy_all().await.is_ok_and(|left| left.is_empty()) {
                after.into_iter().for_each(|after| after());
            }
            Err(error)
        }
    }
}

/// A guest that waits for its steps.
fn raise(
    driver: &'static str,
    host: &Host,
    (claimed, closed): (Claimed, bool),
    plan: &Plan,
    seed: &Seed,
) -> Result<(Wall, UnixStream)> {
    let early = match host.cgroups().kind() {
        Some(cgroup::Kind::V2) => group::make(driver, host.cgroups(), group::limits(plan).as_ref(), seed)?,
        _ => None,
    };
    let Started {
        spawned, door, link, ..
    } = start(driver, plan, seed, early.as_ref())?;
    let wall = Wall::new(Parts {
        driver,
        id: seed.id.clone(),
        spawned,
        group: early,
        door: Some(door),
        claimed,
        closed,
    })?;
    Ok((wall, talk::stream(link)?))
}

/// Hands the guest its steps and gathers the receipt.
async fn furnish(
    wall: &mut Wall,
    mut link: UnixStream,
    (host, mut context): (&Host, Context),
    plan: &Plan,
    seed: &Seed,
    gather: impl FnOnce(&[Control], &Observed<'_>, &Attestation) -> Receipt,
) -> Result<(Receipt, UnixStream)> {
    let driver = wall.driver();
    let limits = group::limits(plan);
    context.joins_cgroups = limits.is_some() && wall.group().is_none();
    let mut program = compile(plan, &context);
    host.mutate(&mut program);
    let attestation = setup::answer(wall, &mut link, seed, &program, async |wall| {
        if context.joins_cgroups {
            wall.set_group(group::make(driver, host.cgroups(), limits.as_ref(), seed)?);
            talk::send_trees(wall.door()?, &group::tasks(wall)?)?;
        }
        Ok(())
    })
    .await?;
    if let Some(keeper) = attestation.keeper {
        wall.set_keeper(keeper)?;
    }
    let controls: Vec<Control> = plan.enforced().cloned().collect();
    let receipt = gather(&controls, &wall.observed(), &attestation);
    Ok((receipt, link))
}

/// The guest that was started early, or one that is born into its cgroup.
fn start(driver: &'static str, plan: &Plan, seed: &Seed, group: Option<&Group>) -> Result<Started> {
    let join = group.map(|group| group::join_method(driver, group)).transpose()?;
    let into = group::birthplace(join.as_ref(), plan);
    if into.is_none()
        && let Some(early) = Started::take_early(&seed.guest, Isolation::Shared)
    {
        return Ok(early);
    }
    Started::new(driver, &seed.guest, Isolation::Shared, into)
}

/// The steps of a plan, as `--dry-run` prints them.
pub(crate) fn steps(plan: &Plan, context: &Context) -> Vec<String> {
    compile(plan, context)
        .ops
        .iter()
        .map(ToString::to_string)
        .collect()
}
