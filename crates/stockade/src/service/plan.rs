//! From a policy file and flags to a plan, or to a refusal.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use stockade_domain::policy::{Clause, HostDefaults, Layers, Overrides, Policy};
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::target::Facts;
use stockade_domain::{Plan, Refusal, Target};
use stockade_host::compose::{Composed, compose};
use stockade_host::driver::Driver;
use stockade_host::open;
use stockade_host::view::{Context, Note};

use super::Result;
use super::auto::{self, AUTO, Choice, PassedOver};
use super::policy::{Gathered, gather};
use super::probed::{self, Contradicted, Heeded};
use crate::failure::Failure;

/// What is asked for beside the layers that are found: each comes on top of the one before.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// A policy that comes with the program, by name.
    pub preset: Option<Clause<String>>,
    /// A file.
    pub policy: Option<PathBuf>,
    /// What is nearer than any file.
    pub overrides: Overrides,
    /// It is the battery that asks: what its last run showed does not keep it from looking anew.
    pub probing: bool,
}

/// A plan with everything that is needed to carry it out.
pub struct Prepared {
    /// Who will build it.
    pub driver: Arc<dyn Driver>,
    /// Why that one.
    pub choice: Choice,
    /// On what.
    pub target: Target,
    /// What will be enforced.
    pub plan: Plan,
    /// What the user should know about the file view.
    pub notes: Vec<Note>,
    /// What the user should know about the driver's last probe.
    pub probed: Option<String>,
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
    /// Why this driver.
    pub choice: &'a Choice,
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
    let heed = !launch.probing;
    let Gathered {
        layers,
        context,
        driver: named,
        ..
    } = gather(launch)?;
    let is_named = named != AUTO;
    let mut passed_over = Vec::new();
    let mut strongest: Option<Refusal> = None;
    let mut contradicted = None;
    for driver in auto::candidates(&named)? {
        match ask(&driver, &layers, &context).await? {
            Asked::Refused(refusal) => {
                passed_over.push(PassedOver::refused(&refusal));
                strongest.get_or_insert(refusal);
            }
            Asked::Planned(planned) => {
                let (target, plan, notes) = *planned;
                if !is_named && let Err(found) = driver.probe(&target) {
                    passed_over.push(PassedOver::unusable(driver.name(), &found));
                    continue;
                }
                let heeded = if heed {
                    probed::heed(driver.as_ref(), &plan)
                } else {
                    Heeded::default()
                };
                if let Some(one) = heeded.against {
                    passed_over.push(PassedOver::contradicted(&one));
                    contradicted.get_or_insert(one);
                    continue;
                }
                let choice = Choice::new(driver.name(), is_named, passed_over);
                return Ok(Prepared {
                    probed: heeded.note,
                    ..prepared(driver, target, plan, notes, choice, &context)
                });
            }
        }
    }
    Err(nobody(strongest, contradicted, passed_over))
}

/// What a driver says to a policy.
enum Asked {
    Planned(Box<(Target, Plan, Vec<Note>)>),
    Refused(Refusal),
}

async fn ask(driver: &Arc<dyn Driver>, layers: &Layers, context: &Context) -> Result<Asked> {
    let target = driver.survey().await?;
    let Facts::Host(facts) = &target.facts;
    let policy = Policy::layered(Policy::defaults(&HostDefaults::from(facts.as_ref())), layers)?;
    let mut composed = compose(&policy, facts, context, &|workspace| {
        driver.identity(&target, workspace)
    })?;
    copy_if_needed(driver.as_ref(), &target, context, &mut composed);
    match open::plan(driver.as_ref(), &target, composed.spec, &composed.demands) {
        Ok(plan) => Ok(Asked::Planned(Box::new((target, plan, composed.notes)))),
        Err(stockade_host::Error::Refused(refusal)) => Ok(Asked::Refused(refusal)),
        Err(error) => Err(error.into()),
    }
}

/// Copy-on-write where no overlay is possible is a private copy, and that is told.
fn copy_if_needed(driver: &dyn Driver, target: &Target, context: &Context, composed: &mut Composed) {
    if let (Some(workspace), Some(state)) = (&mut composed.spec.workspace, &context.state_dir)
        && workspace.mode == WorkspaceMode::Cow
        && let Some(why) = driver.copy_instead(target, &workspace.source, state)
    {
        workspace.mode = WorkspaceMode::Copy;
        composed.notes.push(Note::WorkspaceCopied { why });
    }
}

/// No driver can: what the strongest lacks is told in full, the others in short.
fn nobody(
    strongest: Option<Refusal>,
    contradicted: Option<Contradicted>,
    passed_over: Vec<PassedOver>,
) -> Failure {
    match strongest {
        None if passed_over.len() == 1
            && let Some(one) = contradicted =>
        {
            Failure::Contradicted(Box::new(one))
        }
        Some(refusal) if passed_over.len() == 1 => stockade_host::Error::Refused(refusal).into(),
        strongest => Failure::NoDriver {
            refusal: strongest,
            others: passed_over,
        },
    }
}

fn prepared(
    driver: Arc<dyn Driver>,
    target: Target,
    plan: Plan,
    notes: Vec<Note>,
    choice: Choice,
    context: &Context,
) -> Prepared {
    let host_path = context.variable("PATH").unwrap_or_default().to_owned();
    let cwd = starting_directory(&plan, context);
    Prepared {
        driver,
        choice,
        target,
        plan,
        notes,
        probed: None,
        host_path,
        cwd,
    }
}

impl Prepared {
    /// The plan with its steps.
    ///
    /// # Errors
    /// The workspace is gone.
    pub fn shown(&self) -> Result<Shown<'_>> {
        Ok(Shown {
            plan: &self.plan,
            choice: &self.choice,
            notes: &self.notes,
            steps: self.driver.steps(&self.target, &self.plan)?,
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
