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
use stockade_domain::{Demand, Demands, Level, Plan, SessionKind, Support, Target};
use stockade_linux::cgroup;
use stockade_linux::compile::{CPU_TOPOLOGY, Context};
use stockade_linux::idmap::Identity;
use stockade_linux::ops::Program;
use stockade_workspace::replica::COPY;

use crate::driver::{Boundary, BoxFuture, Driver, Leftover, Record, Seed, Sweep};
use crate::error::{Error, Result};
use crate::local::{self, group, host_facts, identity, start};
use crate::view;

/// The driver's name.
pub const NAME: &str = "native";

/// A change of the set-up program that a test makes in order to see it noticed.
pub type Mutation = fn(&mut Program);

/// Builds sandboxes from namespaces, mounts, cgroups, Landlock and seccomp.
#[derive(Default)]
pub struct Native {
    host: local::Host,
    #[cfg(feature = "mutation")]
    mutation: Option<Mutation>,
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
    pub fn with_mutation(mutation: Mutation) -> Self {
        Self {
            mutation: Some(mutation),
            ..Self::default()
        }
    }

    fn mutate(&self, program: &mut Program) {
        #[cfg(feature = "mutation")]
        if let Some(mutation) = self.mutation {
            mutation(program);
        }
        let _ = program;
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

impl Driver for Native {
    fn name(&self) -> &'static str {
        NAME
    }

    fn survey(&self) -> BoxFuture<'_, Result<Target>> {
        Box::pin(async { Ok(self.host.target().clone()) })
    }

    fn level(&self, _target: &Target, _demands: &Demands) -> Level {
        Level::Container
    }

    fn session(&self, _target: &Target) -> SessionKind {
        SessionKind::Full
    }

    fn support(&self, target: &Target, demand: &Demand) -> Support {
        support::support(host_facts(target), demand)
    }

    fn identity(&self, target: &Target, workspace: Option<&Path>) -> std::io::Result<view::Identity> {
        let Identity { uid, gid, .. } = identity::expected(host_facts(target), workspace)?;
        Ok(view::Identity { uid, gid })
    }

    fn copy_instead(&self, target: &Target, workspace: &Path, state: &Path) -> Option<String> {
        overlay::missing(host_facts(target), workspace, state)
    }

    fn steps(&self, target: &Target, plan: &Plan) -> Result<Vec<String>> {
        steps(plan, host_facts(target))
    }

    /// Settings do not tell of filters around us that refuse namespaces.
    fn probe(&self, target: &Target) -> std::result::Result<(), Support> {
        if host_facts(target).privileged {
            return Ok(());
        }
        start::try_namespaces().map_err(Support::impossible)
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
