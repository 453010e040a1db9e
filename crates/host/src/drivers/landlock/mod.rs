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
use stockade_domain::{Demand, Level, Plan, Support};

use crate::driver::{Boundary, Seed};
use crate::error::Result;
use crate::local::driver::Local;
use crate::local::{Host, jail};
use crate::view;

/// The driver's name.
pub const NAME: &str = "landlock";

/// Builds sandboxes from Landlock and seccomp alone.
#[derive(Default)]
pub struct Landlock {
    host: Host,
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
    pub fn with_mutation(mutation: crate::local::Mutation) -> Self {
        Self {
            host: Host::with_mutation(mutation),
        }
    }
}

impl Local for Landlock {
    const NAME: &'static str = NAME;
    const LEVEL: Level = Level::Jail;
    const CARRIES: bool = true;

    fn host(&self) -> &Host {
        &self.host
    }

    fn support(facts: &HostFacts, demand: &Demand) -> Support {
        support::support(facts, demand)
    }

    /// The user itself.
    fn identity(facts: &HostFacts, _workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        Ok(view::Identity {
            uid: facts.euid,
            gid: rustix::process::getegid().as_raw(),
        })
    }

    fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
        let changes = Path::new("(change set)");
        let places = places::Places::new(Path::new("(state)"), Some(changes), plan.spec());
        let context = create::context(plan.spec(), facts, &places)?;
        Ok(jail::steps(plan, &context))
    }

    async fn create(&self, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
        create::create(&self.host, plan, seed).await
    }
}
