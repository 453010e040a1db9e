//! Attacking the walls of this host's drivers.

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use stockade_domain::demand::Origin;
use stockade_domain::{Control, ControlKind, Demand, Need, Support};
use stockade_probes::battery::{Battery, Subject};
use stockade_probes::catalogue::GROUPS;
use stockade_probes::report::{DriverReport, Host, Report};
use stockade_probes::{FINGERPRINT, Probe, Verdict, inside::FINGERPRINT_ROLE};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::plan::Launch;
use super::policy::{Explained, explain};
use super::{DRIVERS, Result, driver, nearest, state_path, unknown_driver};
use crate::failure::Failure;

/// The inside half, from the directory that holds `bin`.
const INSTALLED: &str = "libexec/stockade/stockade-probes";
/// The same where it was built: beside the program.
const BUILT: &str = "stockade-probes";

/// Which probes of which drivers.
pub struct Chosen {
    drivers: Vec<&'static str>,
    categories: Vec<String>,
    ids: Vec<String>,
}

impl Chosen {
    /// By names; nothing means all.
    ///
    /// # Errors
    /// There is no such driver, group or probe.
    pub fn new(drivers: &[String], categories: &[String], ids: &[String]) -> Result<Self> {
        let known = |name: &String| DRIVERS.into_iter().find(|known| known == name);
        let drivers = drivers
            .iter()
            .map(|name| known(name).ok_or_else(|| unknown_driver(name)))
            .collect::<Result<Vec<_>>>()?;
        let groups: Vec<&'static str> = GROUPS.iter().map(|(name, _)| *name).collect();
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
    all.any(|probe| begins(probe, id))
}

/// Runs the battery; `told` hears what is tried. A signal that asks to end stops it before the next probe,
/// so that nothing that was planted stays.
///
/// # Errors
/// The inside half is missing, the policy cannot be used here, or it was interrupted.
pub async fn probe(chosen: &Chosen, told: &dyn Fn(&str)) -> Result<Report> {
    let program = std::env::current_exe()?;
    let explained = explain(Launch::default()).await?;
    let battery = Battery {
        payload: payload(&program)?,
        program,
        state: state_home()?,
        probes: chosen.list(),
    };
    let mut subjects = Vec::new();
    for name in &chosen.drivers {
        let mut subject = subject(&explained, name);
        subject.claims.extend(others(&explained, name).await?);
        subjects.push(subject);
    }
    let at_ms = now_ms();
    Ok(Report {
        version: Report::VERSION,
        stockade: env!("CARGO_PKG_VERSION").to_owned(),
        battery: FINGERPRINT.to_owned(),
        at_ms,
        host: host(),
        drivers: attack(battery, subjects, told).await?,
    })
}

/// In a thread of its own: this process makes no sandbox itself.
async fn attack(battery: Battery, subjects: Vec<Subject>, told: &dyn Fn(&str)) -> Result<Vec<DriverReport>> {
    let (sender, mut heard) = tokio::sync::mpsc::channel(16);
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let mut work = tokio::task::spawn_blocking(move || {
        let mut made = Vec::new();
        for subject in &subjects {
            let (mut number, count) = (0, battery.probes.len());
            made.push(battery.attack(subject, &mut |probe| {
                number += 1;
                let line = format!("{}: {number} of {count}: {}", subject.driver, probe.title);
                // Nobody listens any more at the end.
                let _ = sender.blocking_send(line);
                match stopped.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?);
        }
        Ok(made)
    });
    let mut interrupt = heeded(SignalKind::interrupt())?;
    let mut terminate = heeded(SignalKind::terminate())?;
    let mut hangup = heeded(SignalKind::hangup())?;
    let done: Verdict<Vec<DriverReport>> = loop {
        tokio::select! {
            done = &mut work => break done.map_err(|error| Failure::Battery(error.to_string()))?,
            Some(line) = heard.recv() => told(&line),
            _ = interrupt.recv() => stop.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stop.store(true, Ordering::Relaxed),
            _ = hangup.recv() => stop.store(true, Ordering::Relaxed),
        }
    };
    done.map_err(|problem| match stop.load(Ordering::Relaxed) {
        true => Failure::Interrupted,
        false => Failure::Battery(problem.why()),
    })
}

fn heeded(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Failure::Battery(format!("signals cannot be waited for: {error}")))
}

/// What a driver says under the policy that holds here, and how it is asked for sandboxes: what it
/// cannot enforce is given up.
fn subject(explained: &Explained, name: &str) -> Subject {
    let at = explained.drivers.iter().position(|row| row.driver == name);
    let mut flags = vec!["--driver".to_owned(), name.to_owned()];
    let mut claims = Vec::new();
    for row in &explained.controls {
        let kind = row.demand.control.kind();
        let Some(support) = at.and_then(|at| row.support.get(at)) else {
            continue;
        };
        if row.demand.need == Need::Require && matches!(support, Support::Absent { .. }) {
            flags.extend(["--prefer".to_owned(), kind.name().to_owned()]);
        }
        claims.push((kind, support.clone()));
    }
    Subject {
        driver: name.to_owned(),
        claims,
        flags,
    }
}

/// What a driver says of the walls that the policy does not ask for.
async fn others(explained: &Explained, name: &str) -> Result<Vec<(ControlKind, Support)>> {
    let driver = driver(name)?;
    let target = driver.survey().await?;
    let asked = |kind: ControlKind| {
        let mut rows = explained.controls.iter();
        rows.any(|row| row.demand.control.kind() == kind)
    };
    let walls = ControlKind::ALL.into_iter().filter(|kind| !kind.is_limit());
    let others = walls.filter(|kind| !asked(*kind)).map(|kind| {
        let demand = Demand {
            control: Control::Wall(kind),
            need: Need::Prefer,
            origin: Origin::Default,
        };
        (kind, driver.support(&target, &demand))
    });
    Ok(others.collect())
}

/// The inside half that belongs to this program.
fn payload(program: &Path) -> Result<PathBuf> {
    let installed = program
        .parent()
        .and_then(Path::parent)
        .map(|at| at.join(INSTALLED));
    let built = program.parent().map(|at| at.join(BUILT));
    let places = [installed, built];
    let Some(path) = places.iter().flatten().find(|path| path.is_file()) else {
        return Err(Failure::NoProbes {
            places: places.into_iter().flatten().collect(),
        });
    };
    let refuse = |why: String| Failure::ForeignProbes {
        path: path.clone(),
        why,
    };
    // It is run as whoever runs this: whoever could change it could have changed us.
    let owner = program.metadata()?.uid();
    let seen = path.metadata()?;
    if (seen.uid() != 0 && seen.uid() != owner) || seen.mode() & 0o022 != 0 {
        return Err(refuse("others could have changed it".to_owned()));
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
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Host {
        kernel: format!(
            "{} {} {}",
            text(name.sysname()),
            text(name.release()),
            text(name.version())
        ),
        security_modules: std::fs::read_to_string("/sys/kernel/security/lsm")
            .map_or_else(|_| "not told".to_owned(), |text| text.trim().to_owned()),
        root: rustix::process::geteuid().is_root(),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
