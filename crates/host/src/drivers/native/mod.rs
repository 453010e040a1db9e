//! The native driver: a wall of the host kernel's own mechanisms, for root and for
//! ordinary users, with no other software. See `docs.md` beside this file.

mod create;
mod overlay;
mod receipt;
mod sources;
mod support;

use std::path::{Path, PathBuf};

use stockade_domain::spec::WorkspaceMode;
use stockade_domain::target::HostFacts;
use stockade_domain::{Demand, Level, Plan, Support};
use stockade_linux::cgroup;
use stockade_linux::compile::{CPU_TOPOLOGY, Context};
use stockade_linux::idmap::Identity;
use stockade_workspace::replica::COPY;

use crate::driver::{Boundary, Seed};
use crate::error::Result;
use crate::local::driver::Local;
use crate::local::{Host, group, identity, start};
use crate::view;

/// The driver's name.
pub const NAME: &str = "native";

/// Builds sandboxes from namespaces, mounts, cgroups, Landlock and seccomp.
#[derive(Default)]
pub struct Native {
    host: Host,
}

impl Native {
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

/// The ordered set-up steps of a plan, as `--dry-run` prints them.
///
/// # Errors
/// The owner of the workspace cannot be read.
fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
    let identity = identity::expected(
        facts,
        plan.spec()
            .workspace
            .as_ref()
            .map(|workspace| workspace.source.as_path()),
    )
    .map_err(identity::unreadable)?;
    let joins = group::limits(plan).is_some() && cgroup::survey().kind() == Some(cgroup::Kind::V1);
    let context = context(
        facts,
        &identity,
        Some("(change set)".into()),
        Some("(caches)".into()),
        joins,
        mode(plan),
    );
    let ops = stockade_linux::compile::compile(plan, &context).program.ops;
    Ok(ops.iter().map(ToString::to_string).collect())
}

fn mode(plan: &Plan) -> Option<WorkspaceMode> {
    plan.spec().workspace.as_ref().map(|workspace| workspace.mode)
}

fn context(
    facts: &HostFacts,
    identity: &Identity,
    changes_dir: Option<PathBuf>,
    caches_dir: Option<PathBuf>,
    joins_cgroups: bool,
    mode: Option<WorkspaceMode>,
) -> Context {
    let copied = mode == Some(WorkspaceMode::Copy);
    Context {
        given_sources: facts.privileged,
        identity: identity.clone(),
        landlock_abi: facts.landlock_abi,
        joins_cgroups,
        copy: changes_dir
            .as_ref()
            .filter(|_| copied)
            .map(|changes| changes.join(COPY)),
        changes_dir,
        caches_dir,
        cpu_topology: Path::new(CPU_TOPOLOGY).is_dir(),
    }
}

impl Local for Native {
    const NAME: &'static str = NAME;
    const LEVEL: Level = Level::Container;

    fn host(&self) -> &Host {
        &self.host
    }

    fn support(facts: &HostFacts, demand: &Demand) -> Support {
        support::support(facts, demand)
    }

    fn identity(facts: &HostFacts, workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        Ok(identity::expected(facts, workspace)?.into())
    }

    fn copy_instead(facts: &HostFacts, workspace: &Path, state: &Path) -> Option<String> {
        overlay::missing(facts, workspace, state)
    }

    fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
        steps(plan, facts)
    }

    /// Settings do not tell of filters around us that refuse namespaces.
    fn probe(facts: &HostFacts) -> std::result::Result<(), Support> {
        if facts.privileged {
            return Ok(());
        }
        start::try_namespaces().map_err(Support::impossible)
    }

    async fn create(&self, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
        create::create(&self.host, plan, seed).await
    }
}
