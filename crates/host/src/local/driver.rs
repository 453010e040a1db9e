//! What drivers on this host's own kernel say of themselves. Everything else that the driver seam
//! asks they answer alike.

use std::future::Future;
use std::path::Path;

use stockade_domain::target::HostFacts;
use stockade_domain::{Demand, Demands, Level, Plan, SessionKind, Support, Target};

use super::{Host, group, host_facts};
use crate::driver::{Boundary, BoxFuture, Driver, Leftover, Record, Seed, SeedOrigin, Sweep};
use crate::error::{Error, Result};
use crate::view::Identity;

/// A driver whose guest is a child of ours on this host's own kernel; see [`Driver`] for what each asks.
pub(crate) trait Local: Send + Sync {
    const NAME: &'static str;
    const LEVEL: Level;
    /// The workspace can travel over the link.
    const CARRIES: bool = false;

    fn host(&self) -> &Host;

    fn support(facts: &HostFacts, demand: &Demand) -> Support;

    fn identity(facts: &HostFacts, workspace: Option<&Path>) -> std::io::Result<Identity>;

    fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>>;

    fn create(&self, plan: Plan, seed: Seed) -> impl Future<Output = Result<Box<dyn Boundary>>> + Send;

    fn copy_instead(_facts: &HostFacts, _workspace: &Path, _state: &Path) -> Option<String> {
        None
    }

    fn probe(_facts: &HostFacts) -> std::result::Result<(), Support> {
        Ok(())
    }
}

impl<T: Local> Driver for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn survey(&self) -> BoxFuture<'_, Result<Target>> {
        Box::pin(async { Ok(self.host().target().clone()) })
    }

    fn level(&self, _target: &Target, _demands: &Demands) -> Level {
        T::LEVEL
    }

    fn session(&self, _target: &Target) -> SessionKind {
        SessionKind::Full
    }

    fn support(&self, target: &Target, demand: &Demand) -> Support {
        T::support(host_facts(target), demand)
    }

    fn identity(&self, target: &Target, workspace: Option<&Path>) -> std::io::Result<Identity> {
        T::identity(host_facts(target), workspace)
    }

    fn copy_instead(&self, target: &Target, workspace: &Path, state: &Path) -> Option<String> {
        T::copy_instead(host_facts(target), workspace, state)
    }

    fn steps(&self, target: &Target, plan: &Plan) -> Result<Vec<String>> {
        T::steps(plan, host_facts(target))
    }

    fn probe(&self, target: &Target) -> std::result::Result<(), Support> {
        T::probe(host_facts(target))
    }

    fn create<'a>(&'a self, plan: Plan, seed: Seed) -> BoxFuture<'a, Result<Box<dyn Boundary>>> {
        Box::pin(async move {
            if seed.over_link && !T::CARRIES {
                let why = "this driver shows it by the file system".to_owned();
                return Err(Error::building(T::NAME, "send the workspace over the link", why));
            }
            match &seed.origin {
                SeedOrigin::Fresh => T::create(self, plan, seed).await,
                SeedOrigin::Snapshot(name) => Err(Error::building(
                    T::NAME,
                    "start from a snapshot",
                    format!("{name}: {} takes none", T::NAME),
                )),
            }
        })
    }

    fn adopt(&self, record: Record) -> BoxFuture<'_, Result<Box<dyn Boundary>>> {
        Box::pin(async move { Err(Error::nothing_to_adopt(T::NAME, &record)) })
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async move { group::leftovers(T::NAME, self.host().cgroups()) })
    }

    fn reap(&self, leftover: Leftover) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { group::reap(T::NAME, &leftover) })
    }

    fn sweep<'a>(&'a self, leftover: &'a Leftover, sweep: Sweep<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { group::sweep(T::NAME, leftover, sweep) })
    }
}
