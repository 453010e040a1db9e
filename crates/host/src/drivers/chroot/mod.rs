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
mod sound;
mod support;
mod tree;

use std::path::Path;

use stockade_domain::target::HostFacts;
use stockade_domain::{Demand, Level, Plan, Support};

use crate::driver::{Boundary, Seed};
use crate::error::Result;
use crate::local::driver::Local;
use crate::local::{Host, identity, jail};
use crate::view;

/// The driver's name.
pub const NAME: &str = "chroot";

/// Builds sandboxes from a root directory, ids, Landlock and seccomp.
#[derive(Default)]
pub struct Chroot {
    host: Host,
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
    pub fn with_mutation(mutation: crate::local::Mutation) -> Self {
        Self {
            host: Host::with_mutation(mutation),
        }
    }
}

impl Local for Chroot {
    const NAME: &'static str = NAME;
    const LEVEL: Level = Level::Jail;

    fn host(&self) -> &Host {
        &self.host
    }

    fn support(facts: &HostFacts, demand: &Demand) -> Support {
        support::support(facts, demand)
    }

    fn identity(_facts: &HostFacts, workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        Ok(identity::in_slot(workspace, 0)?.into())
    }

    fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
        build::refuse(plan.spec())?;
        let workspace = plan.spec().workspace.as_ref();
        let workspace = workspace.map(|workspace| workspace.source.as_path());
        let identity = identity::in_slot(workspace, 0).map_err(identity::unreadable)?;
        let who = create::who(&identity)?;
        let context = create::context(plan, facts, who, Path::new("(root)"), false);
        let mut steps = build::describe(plan.spec());
        steps.extend(jail::steps(plan, &context));
        Ok(steps)
    }

    async fn create(&self, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
        create::create(&self.host, plan, seed).await
    }
}
