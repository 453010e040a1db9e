//! The chroot driver: a jail with a root directory of its own, for root where namespaces and mounts are
//! forbidden. See `docs.md` beside this file.

mod build;
mod create;
mod devices;
mod marks;
mod places;
mod pool;
mod pulse;
mod receipt;
mod root;
mod seal;
mod support;
mod tree;

use std::path::Path;

use stockade_domain::target::HostFacts;
use stockade_domain::{Demand, Demands, Level, Plan, SessionKind, Support, Target};

use crate::driver::{Boundary, BoxFuture, Driver, Leftover, Record, Seed, Sweep};
use crate::error::{Error, Result};
use crate::local::jail::Mutation;
use crate::local::{self, group, host_facts, identity};
use crate::view;

/// The driver's name.
pub const NAME: &str = "chroot";

/// Builds sandboxes from a root directory, ids, Landlock and seccomp.
#[derive(Default)]
pub struct Chroot {
    host: local::Host,
    #[cfg(feature = "mutation")]
    mutation: Option<Mutation>,
}

impl Chroot {
    /// A driver for this host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Test only, and not part of release builds: damages every set-up program.
    #[cfg(feature = "mutation")]
    #[must_use]
    pub fn with_mutation(mutation: Mutation) -> Self {
        Self {
            mutation: Some(mutation),
            ..Self::default()
        }
    }

    #[cfg(feature = "mutation")]
    fn mutation(&self) -> Option<Mutation> {
        self.mutation
    }

    #[cfg(not(feature = "mutation"))]
    #[allow(clippy::unused_self)] // the other one needs it
    fn mutation(&self) -> Option<Mutation> {
        None
    }
}

/// The ordered set-up steps of a plan, as `--dry-run` prints them.
///
/// # Errors
/// What this driver cannot build, or an owner of the workspace that cannot be read.
fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
    build::refuse(plan.spec())?;
    let workspace = plan.spec().workspace.as_ref();
    let workspace = workspace.map(|workspace| workspace.source.as_path());
    let identity = identity::in_slot(workspace, 0).map_err(identity::unreadable)?;
    let who = create::who(&identity)?;
    let context = create::context(plan, facts, who, Path::new("(root)"), false);
    let mut steps = build::describe(plan.spec());
    steps.extend(local::jail::steps(plan, &context));
    Ok(steps)
}

impl Driver for Chroot {
    fn name(&self) -> &'static str {
        NAME
    }

    fn survey(&self) -> BoxFuture<'_, Result<Target>> {
        Box::pin(async { Ok(self.host.target().clone()) })
    }

    fn level(&self, _target: &Target, _demands: &Demands) -> Level {
        Level::Jail
    }

    fn session(&self, _target: &Target) -> SessionKind {
        SessionKind::Full
    }

    fn support(&self, target: &Target, demand: &Demand) -> Support {
        support::support(host_facts(target), demand)
    }

    fn identity(&self, _target: &Target, workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        let identity = identity::in_slot(workspace, 0)?;
        Ok(view::Identity {
            uid: identity.uid,
            gid: identity.gid,
        })
    }

    fn steps(&self, target: &Target, plan: &Plan) -> Result<Vec<String>> {
        steps(plan, host_facts(target))
    }

    fn create<'a>(&'a self, plan: Plan, seed: Seed) -> BoxFuture<'a, Result<Box<dyn Boundary>>> {
        Box::pin(async move { create::create(self, plan, seed).await })
    }

    fn adopt(&self, record: Record) -> BoxFuture<'_, Result<Box<dyn Boundary>>> {
        Box::pin(async move { Err(Error::nothing_to_adopt(NAME, &record)) })
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async move { group::leftovers(NAME, self.host.cgroups()) })
    }

    fn reap(&self, leftover: Leftover) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { group::reap(NAME, &leftover) })
    }

    fn sweep<'a>(&'a self, leftover: &'a Leftover, sweep: Sweep<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { group::sweep(NAME, leftover, sweep) })
    }
}
