//! From a policy file and flags to a plan, or to a refusal.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use stockade_domain::policy::{Clause, HostDefaults, Overrides, Policy};
use stockade_domain::target::Facts;
use stockade_domain::{Plan, Target};
use stockade_host::compose::compose;
use stockade_host::driver::Driver;
use stockade_host::drivers::native;
use stockade_host::open;
use stockade_host::view::{Context, Note};

use super::policy::{Gathered, gather};
use super::{Result, driver};

/// What is asked for beside the layers that are found: each comes on top of the one before.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// A policy that comes with the program, by name.
    pub preset: Option<Clause<String>>,
    /// A file.
    pub policy: Option<PathBuf>,
    /// What is nearer than any file.
    pub overrides: Overrides,
}

/// A plan with everything that is needed to carry it out.
pub struct Prepared {
    /// Who will build it.
    pub driver: Arc<dyn Driver>,
    /// On what.
    pub target: Target,
    /// What will be enforced.
    pub plan: Plan,
    /// What the user should know about the file view.
    pub notes: Vec<Note>,
    /// `PATH` of the host: to tell where a command is that cannot be found inside.
    pub host_path: String,
    /// Where the command starts: the current directory, if it exists inside.
    pub cwd: PathBuf,
}

/// A plan as it is shown.
#[derive(Serialize)]
pub struct Shown<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the user should know about the file view.
    pub notes: &'a [Note],
    /// The ordered set-up steps.
    pub steps: Vec<String>,
}

/// Finds out what would be built. Creates nothing.
///
/// # Errors
/// A policy that cannot be used here, or the refusal with all that is missing.
pub async fn prepare(launch: Launch) -> Result<Prepared> {
    let Gathered {
        layers,
        context,
        driver: name,
        ..
    } = gather(launch)?;
    let driver = driver(&name)?;
    let target = driver.survey().await?;
    let Facts::Host(facts) = &target.facts;
    let policy = Policy::layered(Policy::defaults(&HostDefaults::from(facts.as_ref())), &layers)?;
    let composed = compose(&policy, facts, &context, &|workspace| {
        driver.identity(&target, workspace)
    })?;
    let plan = open::plan(driver.as_ref(), &target, composed.spec, &composed.demands)?;
    let host_path = context.variable("PATH").unwrap_or_default().to_owned();
    let cwd = starting_directory(&plan, &context);
    Ok(Prepared {
        driver,
        target,
        plan,
        notes: composed.notes,
        host_path,
        cwd,
    })
}

impl Prepared {
    /// The plan with its steps.
    ///
    /// # Errors
    /// The workspace is gone.
    pub fn shown(&self) -> Result<Shown<'_>> {
        let Facts::Host(facts) = &self.target.facts;
        Ok(Shown {
            plan: &self.plan,
            notes: &self.notes,
            steps: native::steps(&self.plan, facts)?,
        })
    }
}

/// The current directory where it lies in the workspace, else the workspace, else home.
fn starting_directory(plan: &Plan, context: &Context) -> PathBuf {
    let spec = plan.spec();
    match &spec.workspace {
        Some(workspace) if context.cwd.starts_with(&workspace.source) => context.cwd.clone(),
        Some(workspace) => workspace.source.clone(),
        None => spec.home.clone(),
    }
}
