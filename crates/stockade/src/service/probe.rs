//! Attacking the walls of this host's drivers.

pub mod claims;
mod kept;
mod posture;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stockade_domain::{ControlKind, Level};
use stockade_host::probed::outside::looks;
use stockade_host::state::Clocks;
use stockade_probes::battery::{Battery, Subject};
use stockade_probes::catalogue::GROUPS;
use stockade_probes::report::{DriverReport, Host, Report};
use stockade_probes::{FINGERPRINT, Probe, Verdict, inside::FINGERPRINT_ROLE};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::plan::Launch;
use super::policy::explain;
use super::standing::Standing;
use super::{DRIVERS, Result, guest, nearest, state_path, unknown_driver};
use crate::failure::Failure;
use kept::Keeping;

/// The inside half, from the directory that holds `bin`.
const INSTALLED: &str = "libexec/stockade/stockade-probes";
/// The same where it was built: beside the program.
const BUILT: &str = "stockade-probes";

/// What is said while it runs.
pub enum Told<'a> {
    /// What is tried now.
    Doing(&'a str),
    /// What has to be known afterwards, too.
    Note(&'a str),
}

/// Which probes of which drivers.
pub struct Chosen {
    drivers: Vec<&'static str>,
    categories: Vec<String>,
    ids: Vec<String>,
    /// Attack those as well whose last result still counts.
    anew: bool,
}

impl Chosen {
    /// By names; nothing means all.
    ///
    /// # Errors
    /// There is no such driver, group or probe.
    pub fn new(drivers: &[String], categories: &[String], ids: &[String], anew: bool) -> Result<Self> {
        let known = |name: &String| DRIVERS.into_iter().find(|known| known == name);
        let drivers = drivers
            .iter()
            .map(|name| known(name).ok_or_else(|| unknown_driver(name)))
            .collect::<Result<Vec<_>>>()?;
        let groups = GROUPS.iter().map(|(name, _)| *name);
        let groups: Vec<&'static str> = groups.chain([posture::GROUP]).collect();
        if let Some(name) = categories.iter().find(|name| !groups.contains(&name.as_str())) {
            return Err(Failure::UnknownProbes {
                what: "group of probes",
                name: name.clone(),
                suggestion: nearest(name, &groups),
            });
        }
        let this = Self {
            drivers: if drivers.is_empty() {
                DRIVERS.to_vec()
            } else {
                drivers
            },
            categories: categories.to_vec(),
            ids: ids.iter().map(|id| id.to_ascii_uppercase()).collect(),
            anew,
        };
        if let Some(id) = this.ids.iter().find(|id| !is_known(id)) {
            return Err(Failure::UnknownProbes {
                what: "probe",
                name: id.clone(),
                suggestion: None,
            });
        }
        Ok(this)
    }

    /// The probes, with their groups.
    pub fn list(&self) -> Vec<(&'static str, &'static Probe)> {
        let all = GROUPS
            .iter()
            .flat_map(|(group, probes)| probes.iter().map(move |probe| (*group, probe)));
        all.filter(|(group, probe)| self.has(group, probe)).collect()
    }

    /// What is looked at from outside: id, title and control of each.
    pub fn looks(&self) -> Vec<(&'static str, &'static str, ControlKind)> {
        let by_group =
            self.categories.is_empty() || self.categories.iter().any(|name| name == posture::GROUP);
        let by_id = |id: &str| self.ids.is_empty() || self.ids.iter().any(|begin| id.starts_with(begin));
        looks().filter(|(id, ..)| by_group && by_id(id)).collect()
    }

    /// Whether that is the whole battery: a part of it says nothing of the rest, and is not kept.
    fn is_whole(&self) -> bool {
        self.categories.is_empty() && self.ids.is_empty()
    }

    fn has(&self, group: &str, probe: &Probe) -> bool {
        let by_group = self.categories.is_empty() || self.categories.iter().any(|name| name == group);
        let by_id = self.ids.is_empty() || self.ids.iter().any(|id| begins(probe, id));
        by_group && by_id
    }
}

fn begins(probe: &Probe, id: &str) -> bool {
    probe.id.to_ascii_uppercase().starts_with(id)
}

fn is_known(id: &str) -> bool {
    let mut all = GROUPS.iter().flat_map(|(_, probes)| probes.iter());
    all.any(|probe| begins(probe, id)) || looks().any(|(look, ..)| look.starts_with(id))
}

/// Runs the battery; `told` hears what is tried. A signal that asks to end stops it before the next probe,
/// so that nothing that was planted stays.
///
/// # Errors
/// The inside half is missing, the policy cannot be used here, or it was interrupted.
pub async fn probe(chosen: &Chosen, told: &dyn Fn(Told<'_>)) -> Result<Report> {
    let program = std::env::current_exe()?;
    let explained = explain(Launch::default()).await?;
    let mut tasks = Vec::new();
    for name in &chosen.drivers {
        let kept = match chosen.is_whole() && !chosen.anew {
            true => kept::still_valid(name)?,
            false => None,
        };
        tasks.push(match kept {
            Some(report) => Task::Kept(Box::new(report)),
            None => {
                let level = explained
                    .drivers
                    .iter()
                    .find(|row| row.driver == *name)
                    .map(|row| row.level);
                let subject = subject(name, Standing::of(&explained, name).await?);
                Task::Attack(Box::new(subject), level.unwrap_or(Level::Jail))
            }
        });
    }
    // What is told again needs nobody to attack.
    let payload = match tasks.iter().any(|task| matches!(task, Task::Attack(..))) {
        true => payload(&program)?,
        false => PathBuf::new(),
    };
    let battery = Battery {
        payload,
        program,
        state: state_home()?,
        probes: chosen.list(),
    };
    let at_ms = Clocks::now().unix_ms;
    let blank = Report {
        version: Report::VERSION,
        stockade: env!("CARGO_PKG_VERSION").to_owned(),
        battery: FINGERPRINT.to_owned(),
        at_ms,
        host: host(),
        drivers: Vec::new(),
    };
    let looked = chosen.looks().into_iter().map(|(id, ..)| id).collect();
    let keeper = chosen.is_whole().then(|| blank.clone());
    Ok(Report {
        drivers: attack(battery, tasks, (keeper, looked), told).await?,
        ..blank
    })
}

/// What is to be done for a driver.
enum Task {
    Kept(Box<DriverReport>),
    Attack(Box<Subject>, Level),
}

/// What the battery's thread has to say.
enum Heard {
    Doing(String),
    Note(String),
}

fn tell(heard: &Heard, told: &dyn Fn(Told<'_>)) {
    match heard {
        Heard::Doing(line) => told(Told::Doing(line)),
        Heard::Note(line) => told(Told::Note(line)),
    }
}

/// In a thread of its own: this process makes no sandbox itself.
async fn attack(
    battery: Battery,
    tasks: Vec<Task>,
    (keeper, looked): (Option<Report>, Vec<&'static str>),
    told: &dyn Fn(Told<'_>),
) -> Result<Vec<DriverReport>> {
    let mut interrupt = heeded(SignalKind::interrupt())?;
    let mut terminate = heeded(SignalKind::terminate())?;
    let mut hangup = heeded(SignalKind::hangup())?;
    let (sender, mut heard) = tokio::sync::mpsc::channel(16);
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let mut work = tokio::task::spawn_blocking(move || {
        let mut made = Vec::new();
        for task in tasks {
            let (subject, level) = match task {
                Task::Kept(report) => {
                    made.push(*report);
                    continue;
                }
                Task::Attack(subject, level) => (subject, level),
            };
            let keeping = keeper
                .as_ref()
                .map(|blank| Keeping::begin(&subject.driver, blank));
            let (mut number, count) = (0, battery.probes.len());
            let mut report = battery.attack(&subject, &mut |probe| {
                number += 1;
                let line = format!("{}: {number} of {count}: {}", subject.driver, probe.title);
                // Nobody listens any more at the end.
                let _ = sender.blocking_send(Heard::Doing(line));
                match stopped.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
            if !looked.is_empty() && report.unusable.is_none() {
                let mut rows = posture::rows(&battery, &subject, level);
                rows.retain(|row| looked.contains(&row.id.as_str()));
                report.add(rows);
            }
            if let Some(why) = keeping.and_then(|keeping| keeping.end(&report)) {
                let _ = sender.blocking_send(Heard::Note(why));
            }
            made.push(report);
        }
        Ok(made)
    });
    let done: Verdict<Vec<DriverReport>> = loop {
        tokio::select! {
            done = &mut work => break done.map_err(|error| Failure::Battery(error.to_string()))?,
            Some(heard) = heard.recv() => tell(&heard, told),
            _ = interrupt.recv() => stop.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = hangup.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    while let Ok(late) = heard.try_recv() {
        tell(&late, told);
    }
    done.map_err(|problem| match stop.load(Ordering::Relaxed) {
        true => Failure::Interrupted,
        false => Failure::Battery(problem.why()),
    })
}

fn heeded(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Failure::Battery(format!("signals cannot be waited for: {error}")))
}

/// How a driver is asked for sandboxes: what it cannot enforce is given up.
fn subject(name: &str, standing: Standing) -> Subject {
    let given_up = standing.given_up.iter();
    let prefer = given_up.flat_map(|kind| ["--prefer".to_owned(), kind.name().to_owned()]);
    Subject {
        driver: name.to_owned(),
        flags: ["--probing".to_owned(), "--driver".to_owned(), name.to_owned()]
            .into_iter()
            .chain(prefer)
            .collect(),
        claims: standing.claims,
        refused: standing.refused,
    }
}

/// The inside half that belongs to this program: installed, or where both were built.
fn payload(program: &Path) -> Result<PathBuf> {
    let beside = program.parent();
    let installed = beside
        .and_then(Path::parent)
        .map(|at| (at.join(INSTALLED), guest::PARTS));
    let built = beside.map(|at| (at.join(BUILT), 1));
    let places: Vec<(PathBuf, usize)> = [installed, built].into_iter().flatten().collect();
    let Some((path, parts)) = places.iter().find(|(path, _)| path.is_file()) else {
        return Err(Failure::NoProbes {
            places: places.into_iter().map(|(path, _)| path).collect(),
        });
    };
    let refuse = |why: String| Failure::ForeignProbes {
        path: path.clone(),
        why,
    };
    // It is run as whoever runs this: whoever could change it could have changed us.
    match guest::changeable(program, path, *parts) {
        Ok(None) => {}
        Ok(Some((at, why))) => return Err(refuse(format!("{}: {why}", at.display()))),
        Err((at, cause)) => return Err(Failure::read("the probes' inside half", at, cause)),
    }
    let told = Command::new(path).arg(FINGERPRINT_ROLE).env_clear().output();
    let told = told.map_err(|cause| refuse(cause.to_string()))?;
    let text = String::from_utf8_lossy(&told.stdout);
    match text.trim() {
        FINGERPRINT => Ok(path.clone()),
        _ => Err(refuse("it is of another build than this program".to_owned())),
    }
}

/// The directory above the state, as `XDG_STATE_HOME` names it.
fn state_home() -> Result<PathBuf> {
    let state = state_path().and_then(|path| path.parent().map(Path::to_path_buf));
    state.ok_or_else(|| Failure::Battery("neither HOME nor XDG_STATE_HOME names a directory".to_owned()))
}

fn host() -> Host {
    Host {
        kernel: super::kernel(),
        security_modules: std::fs::read_to_string("/sys/kernel/security/lsm")
            .map_or_else(|_| "not told".to_owned(), |text| text.trim().to_owned()),
        root: rustix::process::geteuid().is_root(),
    }
}
