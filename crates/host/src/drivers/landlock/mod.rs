//! The landlock driver: a jail of rules, for ordinary users where namespaces are forbidden. See
//! `docs.md` beside this file.

mod create;
mod places;
mod receipt;
mod rules;
mod support;
mod within;

use std::path::Path;

use stockade_domain::target::HostFacts;
use stockade_domain::{Demand, Demands, Level, Plan, SessionKind, Support, Target};

use crate::driver::{Boundary, BoxFuture, Driver, Leftover, Record, Seed};
use crate::error::{Error, Result};
use crate::local::jail::Mutation;
use crate::local::{self, group, host_facts};
use crate::view;

/// The driver's name.
pub const NAME: &str = "landlock";

/// Builds sandboxes from Landlock and seccomp alone.
#[derive(Default)]
pub struct Landlock {
    host: local::Host,
    #[cfg(feature = "mutation")]
    mutation: Option<Mutation>,
}

impl Landlock {
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
/// A directory that has to be listed cannot be.
fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
    let changes = Path::new("(change set)");
    let places = places::Places::new(Path::new("(state)"), Some(changes), plan.spec());
    let context = create::context(plan.spec(), facts, &places)?;
    Ok(local::jail::steps(plan, &context))
}

impl Driver for Landlock {
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

    /// The user itself.
    fn identity(&self, target: &Target, _workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        Ok(view::Identity {
            uid: host_facts(target).euid,
            gid: rustix::process::getegid().as_raw(),
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
}
