//! A sandbox for programs: create it, run commands in it, remove it.
//!
//! This puts the parts of this crate together in the usual way: the layers of policy that hold
//! on this host with the caller's on top, plan or refusal, receipt, session. What needs more
//! (terminals, streams while they flow, audit, detached life) uses the parts, as the command
//! line does.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_domain::environment::Environment;
use stockade_domain::policy::{HostDefaults, Policy, PolicyError, parse};
use stockade_domain::target::Facts;
use stockade_domain::{Control, ControlKind, Exit, Plan, Receipt};
use stockade_wire::{ExitStatus, Stream};
use tokio_util::sync::CancellationToken;

use crate::compose::{ComposeError, compose};
use crate::driver::{Boundary, Driver, GuestProgram, Seed, SeedOrigin};
use crate::error::{Error, Result};
use crate::layers::{Found, LayerError, Places};
use crate::open;
use crate::session::{Command, ExecEvent, Session};
use crate::state::{Finish, NewSandbox, SandboxFolder, StateDirs};
use crate::view::Context;

/// Output that is kept of a command whose policy has no limit on it.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// Building takes milliseconds, unless the machine is very busy.
const CREATION: Duration = Duration::from_secs(10);

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// What the caller's policy says.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A policy of this host.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// What both mean here.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// It could not be built, or it is not what was planned.
    #[error(transparent)]
    Build(#[from] Error),
}

/// A command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How.
    pub exit: Exit,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// A standing sandbox whose receipt was checked. Dropping it ends and removes it, too; to see
/// whether that succeeds, [`Sandbox::destroy`] it.
pub struct Sandbox {
    session: Session,
    boundary: Box<dyn Boundary>,
    // After the boundary: its directory goes last.
    folder: SandboxFolder,
    environment: Environment,
    directory: PathBuf,
    time: Option<Duration>,
    output_bytes: Option<u64>,
}

impl Sandbox {
    /// Builds a sandbox. The policy is text in the form of `stockade.toml`; those of the organisation
    /// and of the user hold below it, the organisation's floor above it. `guest` becomes its first
    /// process. Needs a tokio runtime on one thread, which must live as long as the sandbox.
    ///
    /// # Errors
    /// What is wrong with the policy, what this host cannot enforce of it, and what building meets.
    pub async fn create(
        dirs: &Arc<StateDirs>,
        driver: Arc<dyn Driver>,
        guest: GuestProgram,
        policy: &str,
    ) -> std::result::Result<Self, CreateError> {
        let mut found = Found::read(&Places::of_process())?;
        found.layers.named = Some(parse(policy, "the program's policy")?);
        let target = driver.survey().await.map_err(CreateError::Build)?;
        let Facts::Host(facts) = &target.facts;
        let defaults = Policy::defaults(&HostDefaults::from(facts.as_ref()));
        let policy = Policy::layered(defaults, &found.layers)?;
        let context = Context::of_process(Some(dirs.path().to_owned()))
            .map_err(|error| Error::io("look at this process", error))?
            .with_policies(&found.files);
        let who = |workspace: Option<&std::path::Path>| driver.identity(&target, workspace);
        let composed = compose(&policy, facts, &context, &who)?;
        let plan = open::plan(driver.as_ref(), &target, composed.spec, &composed.demands)?;
        Ok(Self::build(dirs, &driver, guest, plan).await?)
    }

    async fn build(
        dirs: &Arc<StateDirs>,
        driver: &Arc<dyn Driver>,
        guest: GuestProgram,
        plan: Plan,
    ) -> Result<Self> {
        let (time, output_bytes) = own_limits(&plan)?;
        let spec = plan.spec();
        let workspace = spec.workspace.as_ref();
        let directory = workspace.map_or_else(|| spec.home.clone(), |workspace| workspace.source.clone());
        let environment = spec.environment.clone();
        let mut folder = dirs.create(NewSandbox {
            driver: plan.driver().to_owned(),
            workspace: workspace.map(|workspace| workspace.source.clone()),
            copy_on_write: workspace.is_some_and(|workspace| workspace.mode.keeps_apart()),
            ..NewSandbox::default()
        })?;
        let seed = Seed {
            id: folder.id().to_owned(),
            state_dir: folder.path().to_owned(),
            changes_dir: folder.changes_dir().map(ToOwned::to_owned),
            caches_dir: None,
            trees_dir: folder.trees_dir(),
            guest,
            origin: SeedOrigin::Fresh,
            over_link: false,
            progress: Arc::new(|_| {}),
            warn: Arc::new(|_| {}),
            deadline: Instant::now() + CREATION,
            cancel: CancellationToken::new(),
        };
        let boundary = open::open(driver, plan, seed).await?;
        folder.running(boundary.record())?;
        let session = Session::connect(boundary.link().await?, 0);
        Ok(Self {
            session,
            boundary,
            folder,
            environment,
            directory,
            time,
            output_bytes,
        })
    }

    /// Its id, by which `stockade ls` shows it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.folder.id()
    }

    /// The evidence for every control that is enforced.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        self.boundary.receipt()
    }

    /// Runs a command to its end and keeps what it writes. It reads nothing.
    ///
    /// # Errors
    /// [`Error::Command`] if it cannot be started, [`Error::Impossible`] if it writes more than is
    /// kept and no policy limits that, and why the sandbox ended.
    pub async fn output<S: Into<OsString>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Output> {
        let command = Command {
            argv: argv.into_iter().map(Into::into).collect(),
            env: self.environment.clone(),
            cwd: self.directory.clone(),
            tty: None,
            stdin: false,
        };
        let mut output = Output {
            exit: Exit::TimedOut,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let collecting = self.collect(&command, &mut output);
        match self.time {
            // Dropping the command kills it.
            Some(time) => match tokio::time::timeout(time, collecting).await {
                Ok(exit) => output.exit = exit?,
                Err(_) => output.exit = Exit::TimedOut,
            },
            None => output.exit = collecting.await?,
        }
        Ok(output)
    }

    async fn collect(&self, command: &Command, output: &mut Output) -> Result<Exit> {
        let kills = self.oom_kills().await;
        let mut exec = self.session.exec(command)?;
        let (most, mut count) = (self.output_bytes.unwrap_or(MAX_OUTPUT_BYTES), 0_u64);
        loop {
            match exec.next().await? {
                ExecEvent::Output { stream, bytes } => {
                    count = count.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    if count > most {
                        return self.too_much(most);
                    }
                    match stream {
                        Stream::Stdout => output.stdout.extend_from_slice(&bytes),
                        Stream::Stderr => output.stderr.extend_from_slice(&bytes),
                        // The session refuses what no guest may say.
                        Stream::Stdin => {}
                    }
                }
                ExecEvent::Exited(ExitStatus::Code(code)) => return Ok(Exit::Code(code.into())),
                ExecEvent::Exited(ExitStatus::Signal(signal)) => {
                    let is_killed = i32::from(signal) == rustix::process::Signal::KILL.as_raw();
                    return Ok(if is_killed && self.oom_kills().await > kills {
                        Exit::OutOfMemory
                    } else {
                        Exit::Signal(signal.into())
                    });
                }
                ExecEvent::Started { .. } | ExecEvent::Stopped { .. } | ExecEvent::Continued => {}
            }
        }
    }

    fn too_much(&self, most: u64) -> Result<Exit> {
        if self.output_bytes.is_some() {
            return Ok(Exit::OutputLimit);
        }
        Err(Error::Impossible {
            what: "keep what the command writes".to_owned(),
            why: format!("it is more than {most} bytes"),
            remedy: Some("write a limit: output in [limits]; or take a session, which streams".to_owned()),
        })
    }

    async fn oom_kills(&self) -> u64 {
        let usage = self.boundary.usage().await.unwrap_or_default();
        usage.oom_kills.unwrap_or(0)
    }

    /// Ends all that runs in it and removes it; changes in a copy-on-write workspace are kept.
    ///
    /// # Errors
    /// [`Error::Unclean`] with what could not be removed, which `stockade gc` then does.
    pub async fn destroy(mut self) -> Result<()> {
        self.session.close("the sandbox is removed");
        let leftovers = self.boundary.destroy().await?;
        self.folder.finish(Finish {
            nothing_ran: true,
            leftovers: leftovers.clone(),
            ..Finish::default()
        })?;
        if leftovers.is_empty() {
            return Ok(());
        }
        let cause = Error::Impossible {
            what: "remove all of the sandbox".to_owned(),
            why: "something of it is still there".to_owned(),
            remedy: Some("run `stockade gc`".to_owned()),
        };
        Err(cause.with_leftovers(leftovers))
    }
}

/// The limits that a supervisor holds: time and output are held here, disk is not.
fn own_limits(plan: &Plan) -> Result<(Option<Duration>, Option<u64>)> {
    if plan.spec().limits.disk.is_some() || plan.enforces(ControlKind::ProcessStarts) {
        return Err(Error::Impossible {
            what: "build this sandbox for a program".to_owned(),
            why: "nobody would watch its disk or the starts of programs in it".to_owned(),
            remedy: Some(
                "leave disk out of [limits] and processes out of [audit], or use `stockade rpc`".to_owned(),
            ),
        });
    }
    let (mut time, mut output) = (None, None);
    for control in plan.enforced() {
        match control {
            Control::WallTime(limit) => time = Some(Duration::from_millis(limit.0)),
            Control::Output(limit) => output = Some(limit.0),
            _ => {}
        }
    }
    Ok((time, output))
}
