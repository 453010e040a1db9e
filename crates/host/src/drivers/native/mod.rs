//! The native driver: a wall of the host kernel's own mechanisms, for root and for
//! ordinary users, with no other software. See `docs.md` beside this file.

mod boundary;
mod create;
mod evidence;
mod identity;
mod receipt;
mod sources;
mod start;
mod support;
mod survey;
mod talk;
mod wall;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use stockade_domain::target::{Facts, HostFacts};
use stockade_domain::{ControlKind, Demand, Demands, Level, Plan, SessionKind, Support, Target};
use stockade_linux::cgroup::{self, CgroupSurvey, GroupRecord};
use stockade_linux::compile::{CPU_TOPOLOGY, Context};
use stockade_linux::idmap::Identity;
use stockade_linux::ops::Program;

use crate::driver::{Boundary, BoxFuture, Driver, Leftover, LeftoverKind, Record, Seed};
use crate::error::{Error, Result};
use crate::view;

pub use start::start_early;

/// The driver's name.
pub const NAME: &str = "native";

/// A change of the set-up program that a test makes in order to see it noticed.
pub type Mutation = fn(&mut Program);

/// Builds sandboxes from namespaces, mounts, cgroups, Landlock and seccomp.
#[derive(Default)]
pub struct Native {
    cgroups: OnceLock<CgroupSurvey>,
    target: OnceLock<Target>,
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

    /// Surveyed once in the life of a driver: a program makes one for each command line.
    fn target(&self) -> &Target {
        self.target.get_or_init(|| survey::survey(self.cgroups()))
    }

    fn cgroups(&self) -> &CgroupSurvey {
        self.cgroups.get_or_init(cgroup::survey)
    }
}

impl Error {
    /// A step of building a native sandbox failed, in words that need no remedy beside them.
    fn native(step: &str, cause: String) -> Self {
        Self::Create {
            driver: NAME.to_owned(),
            step: step.to_owned(),
            cause,
            remedy: None,
        }
    }
}

/// The facts of a target that this driver works on.
fn host_facts(target: &Target) -> &HostFacts {
    match &target.facts {
        Facts::Host(facts) => facts,
    }
}

/// The ordered set-up steps of a plan, as `--dry-run` prints them.
///
/// # Errors
/// The owner of the workspace cannot be read.
pub fn steps(plan: &Plan, facts: &HostFacts) -> Result<Vec<String>> {
    let identity = identity::expected(
        facts,
        plan.spec()
            .workspace
            .as_ref()
            .map(|workspace| workspace.source.as_path()),
    )
    .map_err(identity::unreadable)?;
    let limited = [ControlKind::Memory, ControlKind::Pids, ControlKind::Cpu];
    let joins = limited.into_iter().any(|kind| plan.enforces(kind))
        && cgroup::survey().kind() == Some(cgroup::Kind::V1);
    let context = context(facts, &identity, Some("(change set)".into()), joins);
    let ops = stockade_linux::compile::compile(plan, &context).program.ops;
    Ok(ops.iter().map(ToString::to_string).collect())
}

fn context(
    facts: &HostFacts,
    identity: &Identity,
    changes_dir: Option<PathBuf>,
    joins_cgroups: bool,
) -> Context {
    Context {
        given_sources: facts.privileged,
        identity: identity.clone(),
        landlock_abi: facts.landlock_abi,
        joins_cgroups,
        changes_dir,
        cpu_topology: Path::new(CPU_TOPOLOGY).is_dir(),
    }
}

impl Driver for Native {
    fn name(&self) -> &'static str {
        NAME
    }

    fn survey(&self) -> BoxFuture<'_, Result<Target>> {
        Box::pin(async { Ok(self.target().clone()) })
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

    fn create<'a>(&'a self, plan: Plan, seed: Seed) -> BoxFuture<'a, Result<Box<dyn Boundary>>> {
        Box::pin(async move { create::create(self, plan, seed).await })
    }

    fn adopt(&self, record: Record) -> BoxFuture<'_, Result<Box<dyn Boundary>>> {
        Box::pin(async move {
            Err(Error::Create {
                driver: NAME.to_owned(),
                step: format!("adopt sandbox {}", record.id),
                cause: "a native sandbox ends with its supervisor, so there is nothing to adopt".to_owned(),
                remedy: Some("run `stockade gc` to remove what it left".to_owned()),
            })
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async move { cgroup::leftovers(self.cgroups()).iter().map(leftover).collect() })
    }

    fn reap(&self, leftover: Leftover) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { reap(&leftover) })
    }
}

fn leftover(record: &GroupRecord) -> Result<Leftover> {
    let place = serde_json::to_string(record).map_err(|error| Error::io("encode a cgroup record", error))?;
    Ok(Leftover {
        driver: NAME.to_owned(),
        id: record.id.clone(),
        kind: LeftoverKind::Cgroup,
        place,
    })
}

/// Kills what still runs in the sandbox's cgroups and removes them.
fn reap(leftover: &Leftover) -> Result<()> {
    let failed = |cause: String| Error::Create {
        driver: NAME.to_owned(),
        step: format!("remove the cgroups of sandbox {}", leftover.id),
        cause,
        remedy: Some("see which processes are in them (cgroup.procs) and try `stockade gc` again".to_owned()),
    };
    let record: GroupRecord =
        serde_json::from_str(&leftover.place).map_err(|error| failed(error.to_string()))?;
    let group = cgroup::Group::adopt(record).map_err(|error| failed(error.to_string()))?;
    group.kill().map_err(|error| failed(error.to_string()))?;
    group.remove().map_err(|error| failed(error.to_string()))
}
