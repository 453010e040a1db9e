//! A foreground run: this process is the supervisor of the sandbox until its command ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stockade_domain::spec::{Limits, WorkspaceMode};
use stockade_domain::view::{Access, Content};
use stockade_domain::{Plan, Planned, Receipt, Spec, Target};
use stockade_host::audit::{AuditLog, Event, Redactor};
use stockade_host::driver::{Boundary, Driver, Seed, SeedOrigin};
use stockade_host::drivers;
use stockade_host::outside::{Inside, Outside, Told, Watched};
use stockade_host::session::Command;
use stockade_host::shim::screen::Rules;
use stockade_host::shim::stdio::Io;
use stockade_host::shim::{HostLimits, Life, Options, Outcome, RunEvent, Shim, ShimHandle, Signals};
use stockade_host::state::{
    ChangesWish, Detached, EarlyBases, Found, NewSandbox, SandboxFolder, note, note_host_changes,
};
use stockade_host::view::explain_missing;
use stockade_host::{CancellationToken, Error, open};

use super::audit::Readers;
use super::auto::AUTO;
use super::plan::Prepared;
use super::{Result, guest, not_started, state};
use crate::failure::Failure;
use crate::terminal::Waiting;

/// Building a sandbox takes milliseconds; a machine that needs longer than this is not well.
const CREATION_DEADLINE: Duration = Duration::from_secs(30);

/// A copied workspace has at most 200,000 files and 4 GiB that cannot be shared.
const COPYING_DEADLINE: Duration = Duration::from_secs(600);

/// What the command gets and what stays of the sandbox.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The sandbox's name.
    pub name: Option<String>,
    /// Keep its record when it has ended.
    pub keep: bool,
    /// Throw its changes away.
    pub discard_changes: bool,
    /// Which changes of earlier runs it finds.
    pub changes: ChangesWish,
    /// A terminal of this size.
    pub tty: Option<WindowSize>,
    /// Whether input is forwarded.
    pub stdin: bool,
    /// What terminals may be sent; everything if there are no rules.
    pub screen: Option<Rules>,
    /// What its user notes on it.
    pub labels: BTreeMap<String, String>,
    /// It lives without a terminal. Only then may there be no command.
    pub life: Option<Life>,
    /// Who else gets the records.
    pub readers: Readers,
    /// The workspace travels over the link: for tests, as this host's drivers have nearer ways.
    pub over_link: bool,
    /// Nothing is said on the terminal while it is built.
    pub quiet: bool,
}

pub use stockade_host::shim::WindowSize;

/// A sandbox that stands and whose receipt is checked.
pub struct Standing<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name, or its id.
    pub name: &'a str,
    /// The driver.
    pub driver: &'static str,
    /// The evidence.
    pub receipt: &'a Receipt,
    /// Preferred controls that are not enforced.
    pub shortfalls: Vec<&'a Planned>,
    /// What it found in its workspace instead of no changes.
    pub found: Option<Found>,
    /// Resizes, signals and stops it.
    pub handle: ShimHandle,
}

/// What a front does while a command runs.
pub trait Front: Send {
    /// The sandbox stands; its command is about to start.
    fn standing(&mut self, standing: &Standing<'_>) -> Result<()>;
    /// How something is said while a command runs; none where nobody listens. What weakens a wall is
    /// urgent.
    fn asides(&self, urgent: bool) -> Option<fn(&str)> {
        let _ = urgent;
        None
    }
    /// Something happened to the command. Called between two steps of the supervisor, which
    /// waits: to stop this process here stops all.
    fn event(&mut self, event: RunEvent);
}

/// What is left to tell.
pub struct Finished {
    /// Its id.
    pub id: String,
    /// What was enforced.
    pub plan: Plan,
    /// Its name, or its id.
    pub sandbox: String,
    /// The driver.
    pub driver: &'static str,
    /// The evidence.
    pub receipt: Receipt,
    /// How it ended.
    pub outcome: Outcome,
}

/// Builds the sandbox, runs the command in it, and removes it.
///
/// # Errors
/// The sandbox could not be built as planned, or the command could not be started.
pub async fn run(prepared: Prepared, request: Request, front: &mut dyn Front) -> Result<Finished> {
    let Prepared {
        driver,
        target,
        plan,
        host_path,
        cwd,
        ..
    } = prepared;
    let sinks = request.readers.open()?;
    let mut folder = begin(driver.as_ref(), &target, &plan, &request)?;
    let found = folder.found_changes().cloned();
    let (id, name) = (folder.id().to_owned(), folder.status().label().to_owned());
    let mut audit = AuditLog::create(&*state()?, &id)?
        .redacting(Redactor::new(plan.spec().environment.iter()))
        .with_sinks(sinks);
    audit.note(&Event::created(&plan, request.name.clone()))?;
    let shown = plan.clone();
    let mut signals = Signals::install()?;
    let warn = Listener::of(&request, front, folder.path().to_owned()).say(true);
    let seed = seed(&folder, creation_deadline(&plan), &request, warn)?;
    let boundary = match open_unless_asked(&driver, plan, seed, &mut signals).await {
        Ok(boundary) => boundary,
        Err(failure) => {
            let why = failure.to_string();
            // What failed first is what is told.
            let _ = audit.note(&Event::Failed { why }).and_then(|()| audit.finish());
            return Err(failure);
        }
    };
    let receipt = boundary.receipt().clone();
    let (place, early) = (folder.path().to_owned(), folder.early_bases());
    if let Some(life) = &request.life {
        folder.detach(detached(&request, life, &shown, &receipt));
    }
    let mut shim = Shim::start(boundary, folder, audit, options(signals, &shown)).await?;
    front.standing(&Standing {
        id: &id,
        name: &name,
        driver: shown.driver(),
        receipt: &receipt,
        shortfalls: shown.shortfalls().collect(),
        found,
        handle: shim.handle(),
    })?;
    let listener = Listener::of(&request, front, place.clone());
    shim.watch(Watcher::new(listener, place, early, &shim, &name).watch(&shown));
    let command = Command {
        argv: request.command,
        env: shown.spec().environment.clone(),
        cwd,
        tty: request.tty,
        stdin: request.stdin,
    };
    let outcome = match request.life {
        None => {
            let io = Io::standard(request.stdin, request.screen);
            shim.run_foreground(command, io, |event| front.event(event)).await
        }
        Some(life) => shim.run_detached(command, life, |event| front.event(event)).await,
    };
    Ok(Finished {
        id,
        sandbox: name,
        driver: shown.driver(),
        receipt,
        outcome: outcome.map_err(|error| explain(error, &shown, &host_path))?,
        plan: shown,
    })
}

/// How something is said while a command runs.
type Say = Box<dyn Fn(&str) + Send>;

/// Who is told while a command runs.
enum Listener {
    /// A person in front of a terminal; what is not urgent may be unwanted.
    Terminal {
        calm: Option<fn(&str)>,
        urgent: Option<fn(&str)>,
    },
    /// Nobody yet: it is noted in the sandbox's folder.
    Folder(PathBuf),
}

impl Listener {
    fn of(request: &Request, front: &dyn Front, folder: PathBuf) -> Self {
        if request.life.is_some() {
            return Self::Folder(folder);
        }
        Self::Terminal {
            calm: front.asides(false).filter(|_| request.tty.is_some()),
            urgent: front.asides(true),
        }
    }

    fn say(self, is_urgent: bool) -> Option<Say> {
        match self {
            Self::Folder(folder) => Some(Box::new(move |text: &str| note(&folder, text))),
            Self::Terminal { calm, urgent } => {
                let say = if is_urgent { urgent } else { calm }?;
                Some(Box::new(say))
            }
        }
    }
}

/// Watches the workspace on the host.
struct Watcher {
    say: Listener,
    folder: PathBuf,
    early: Option<EarlyBases>,
    shim: ShimHandle,
    name: String,
}

impl Watcher {
    fn new(say: Listener, folder: PathBuf, early: Option<EarlyBases>, shim: &Shim, name: &str) -> Self {
        Self {
            say,
            folder,
            early,
            shim: shim.handle(),
            name: name.to_owned(),
        }
    }

    /// Tells what happens to the workspace on the host meanwhile: an overlay shows it late or in part,
    /// and a mount goes away with the file on which it is. Where that was a protection, nothing inside
    /// goes on without somebody's word.
    fn watch(self, plan: &Plan) -> Option<Outside> {
        let spec = plan.spec();
        let workspace = spec.workspace.as_ref()?;
        let root = workspace.source.clone();
        let watched = match workspace.mode {
            mode if mode.keeps_apart() => Watched::Below {
                root: root.clone(),
                inside: self.early.map(inside),
            },
            mode if mode.writes_through() => Watched::Held(held(spec, &root)),
            _ => return None,
        };
        let is_urgent = matches!(watched, Watched::Held(_));
        let is_copy = matches!(&watched, Watched::Below { inside: Some(inside), .. } if inside.is_copy);
        let say = self.say.say(is_urgent).unwrap_or_else(|| Box::new(|_| ()));
        let say = Arc::new(Mutex::new(say));
        let (shim, name, folder) = (self.shim, self.name, self.folder);
        let runtime = tokio::runtime::Handle::current();
        Some(Outside::start(watched, move |told| match told {
            Told::Sofar(changes) => note_host_changes(&folder, &changes),
            Told::Replaced(_) => {
                let line = outside_line(&told, &root, is_copy);
                runtime.spawn(hold_back(shim.clone(), name.clone(), line, Arc::clone(&say)));
            }
            told => say.lock().unwrap_or_else(PoisonError::into_inner)(&outside_line(&told, &root, is_copy)),
        }))
    }
}

fn inside(mut early: EarlyBases) -> Inside {
    let (root, is_copy) = early.inside();
    Inside {
        root,
        is_copy,
        touched: Box::new(move |paths| early.keep(paths)),
    }
}

/// Pauses a sandbox, or ends it where that cannot be.
async fn hold_back(shim: ShimHandle, name: String, line: String, say: Arc<Mutex<Say>>) {
    let text = match shim.pause(true).await {
        Ok(()) => format!(
            "{line}. The sandbox is paused: look at the file, then `stockade stop {name}` and start anew, \
             or `stockade resume {name}` to go on without that protection"
        ),
        Err(_) => {
            shim.stop(Duration::ZERO, &line);
            format!("{line}. The sandbox is stopped, because it cannot be paused here")
        }
    };
    say.lock().unwrap_or_else(PoisonError::into_inner)(&text);
}

/// What the view keeps read-only in a workspace that is written in place.
fn held(spec: &Spec, root: &Path) -> Vec<PathBuf> {
    let is_held = |what: &Content| {
        matches!(
            what,
            Content::Host {
                access: Access::ReadOnly,
                ..
            }
        )
    };
    let entries = spec.view.entries.iter();
    entries
        .filter(|entry| is_held(&entry.what) && entry.at.starts_with(root) && entry.at != root)
        .map(|entry| entry.at.clone())
        .collect()
}

fn outside_line(told: &Told, root: &Path, is_copy: bool) -> String {
    let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    match told {
        Told::Changed(path) => format!(
            "note: {} changed on the host; inside it {}. Further changes are counted",
            short(path),
            if is_copy {
                "is seen by the next run"
            } else {
                "may be seen late or in part"
            }
        ),
        Told::Sofar(changes) => format!("note: {} changes on the host so far", changes.count),
        Told::Count(count) => format!("note: {count} changes on the host while the sandbox ran"),
        Told::Unwatched(path) => format!(
            "warning: {} cannot be watched: whether it is replaced on the host, and so loses its protection, is not told",
            short(path)
        ),
        Told::Replaced(path) => format!(
            "warning: {} was replaced on the host, so it is NOT read-only inside any more",
            short(path)
        ),
    }
}

/// The sandbox's directory, with its change set and caches.
fn begin(driver: &dyn Driver, target: &Target, plan: &Plan, request: &Request) -> Result<SandboxFolder> {
    let mut folder = state()?.create(new_sandbox(plan, request)?)?;
    let deadline = Instant::now() + COPYING_DEADLINE;
    folder.take_baseline(&|| Instant::now() >= deadline)?;
    if shows_caches(plan) && can_overlay(driver, target, plan, folder.path()) {
        folder.claim_caches()?;
    }
    Ok(folder)
}

/// What others are told of a sandbox without a terminal.
fn detached(request: &Request, life: &Life, plan: &Plan, receipt: &Receipt) -> Detached {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Detached {
        tty: request.tty.is_some(),
        stdin: request.stdin || request.tty.is_some(),
        ttl_ms: life.ttl.map(millis),
        idle_ms: life.idle.map(millis),
        log_bytes: life.log_bytes,
        limits: plan.spec().limits.clone(),
        network: plan.spec().network.clone(),
        verified: receipt.verified(),
        controls: receipt.total(),
        shortfalls: plan
            .shortfalls()
            .map(|planned| planned.demand.control.to_string())
            .collect(),
    }
}

/// A signal during creation takes everything back that was made so far.
async fn open_unless_asked(
    driver: &Arc<dyn Driver>,
    plan: Plan,
    seed: Seed,
    signals: &mut Signals,
) -> Result<Box<dyn Boundary>> {
    let cancel = seed.cancel.clone();
    let mut opening = pin!(open::open(driver, plan, seed));
    loop {
        tokio::select! {
            biased;
            opened = &mut opening => return Ok(opened?),
            _ = signals.next() => cancel.cancel(),
        }
    }
}

fn options(signals: Signals, plan: &Plan) -> Options {
    Options {
        usage: true,
        signals: Some(signals),
        limits: host_limits(&plan.spec().limits),
        asks: plan.spec().checkpoints_from_inside,
        ..Options::default()
    }
}

/// The limits that no kernel enforces for us.
fn host_limits(limits: &Limits) -> HostLimits {
    HostLimits {
        wall: limits.wall_time.map(|time| Duration::from_millis(time.0)),
        output: limits.output.map(|bytes| bytes.0),
        disk: limits.disk.map(|bytes| bytes.0),
    }
}

fn new_sandbox(plan: &Plan, request: &Request) -> Result<NewSandbox> {
    let workspace = plan.spec().workspace.as_ref();
    let copy_on_write = workspace.is_some_and(|workspace| workspace.mode.keeps_apart());
    if !copy_on_write && request.changes != ChangesWish::default() {
        return Err(Failure::NoChangeSet);
    }
    Ok(NewSandbox {
        driver: plan.driver().to_owned(),
        name: request.name.clone(),
        command: request
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        workspace: workspace.map(|workspace| workspace.source.clone()),
        copy_on_write,
        live: workspace.is_some_and(|workspace| workspace.mode == WorkspaceMode::Live),
        keep: request.keep,
        discard_changes: request.discard_changes,
        labels: request.labels.clone(),
        changes: request.changes.clone(),
    })
}

fn shows_caches(plan: &Plan) -> bool {
    let mut entries = plan.spec().view.entries.iter();
    entries.any(|entry| matches!(entry.what, Content::Cache { .. }))
}

/// Where a workspace has to be copied, caches are shown read-only: they would need an overlay, too.
fn can_overlay(driver: &dyn Driver, target: &Target, plan: &Plan, state: &Path) -> bool {
    let copied = plan.spec().workspace.as_ref();
    copied
        .filter(|workspace| workspace.mode == WorkspaceMode::Copy)
        .is_none_or(|workspace| driver.copy_instead(target, &workspace.source, state).is_none())
}

/// Copying a workspace takes as long as the disk does.
fn creation_deadline(plan: &Plan) -> Duration {
    let workspace = plan.spec().workspace.as_ref();
    match workspace.map(|workspace| workspace.mode) {
        Some(WorkspaceMode::Copy | WorkspaceMode::Live) => COPYING_DEADLINE,
        _ => CREATION_DEADLINE,
    }
}

/// Shows the step that takes its time. It goes with the seed, when the sandbox stands or does not.
fn shown(quiet: bool) -> impl Fn(&str) + Send + Sync {
    let step = Mutex::new(None);
    move |what| *step.lock().unwrap_or_else(PoisonError::into_inner) = Some(Waiting::begin(what, quiet))
}

fn seed(folder: &SandboxFolder, deadline: Duration, request: &Request, warn: Option<Say>) -> Result<Seed> {
    let warn = warn.map(Mutex::new);
    Ok(Seed {
        id: folder.id().to_owned(),
        state_dir: folder.path().to_owned(),
        changes_dir: folder.changes_dir().map(Path::to_owned),
        caches_dir: folder.caches_dir().map(Path::to_owned),
        trees_dir: folder.trees_dir(),
        guest: guest::program()?,
        origin: SeedOrigin::Fresh,
        over_link: request.over_link,
        progress: Arc::new(shown(request.quiet)),
        warn: Arc::new(move |what| {
            if let Some(say) = &warn {
                say.lock().unwrap_or_else(PoisonError::into_inner)(&format!("warning: {what}"));
            }
        }),
        deadline: Instant::now() + deadline,
        cancel: CancellationToken::new(),
    })
}

/// Starts the guest while flags are still to be read, if this is a run that will need one.
pub fn start_guest_early() {
    let mut words = std::env::args_os().skip(1);
    let is_run = words.next().is_some_and(|word| word == "run");
    let flags: Vec<OsString> = words.take_while(|word| word != "--").collect();
    // Where it is detached, another process needs it.
    const NONE_HERE: [&str; 5] = ["--dry-run", "--help", "-h", "--detach", "-d"];
    if is_run
        && !flags
            .iter()
            .any(|flag| NONE_HERE.into_iter().any(|none| flag == none))
        && let Ok(program) = guest::program()
    {
        drivers::start_early(&program, named_driver(&flags).filter(|name| *name != AUTO));
    }
}

/// What `--driver` says, read before all else is.
fn named_driver(flags: &[OsString]) -> Option<&str> {
    const FLAG: &str = "--driver";
    let mut words = flags.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word.strip_prefix(FLAG) {
            Some("") => return words.next(),
            Some(rest) => {
                if let Some(name) = rest.strip_prefix('=') {
                    return Some(name);
                }
            }
            None => {}
        }
    }
    None
}

/// Says what to do about a command that did not start, and where it is if the policy hides it.
fn explain(error: Error, plan: &Plan, host_path: &str) -> Error {
    not_started::explain(error, |command| {
        explain_missing(command, &plan.spec().view, host_path).map(|hidden| hidden.to_string())
    })
}
