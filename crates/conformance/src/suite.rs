//! Runs tables of behaviours as tests, once for each driver.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use stockade_domain::{ControlKind, Support};

use crate::ability::Instead;
use crate::claims::{self, Claims};
use crate::driver::{self, Driver, Who};
use crate::kept::Kept;
use crate::results::{Ledger, Outcome, Row};
use crate::{host, program, world::World};
use stockade_probes::{Stop, Verdict, fail, skip};

use crate::behaviour::{Behaviour, How};

/// A table with its heading.
pub type Group = (&'static str, Vec<Behaviour>);

/// What all behaviours share.
pub struct Suite {
    program: PathBuf,
    payload: PathBuf,
    kept: Kept,
    image: OnceLock<Verdict<PathBuf>>,
    directory: tempfile::TempDir,
}

impl Suite {
    /// Finds the program and makes the payload.
    ///
    /// # Errors
    /// There is no program to test.
    pub fn open() -> Verdict<Self> {
        host::adopt_orphans()?;
        let directory = tempfile::Builder::new().prefix("stockade-suite-").tempdir()?;
        let payload = program::install(directory.path())?;
        Ok(Self {
            program: program::stockade()?,
            payload,
            kept: Kept::new(directory.path().join("kept"))?,
            image: OnceLock::new(),
            directory,
        })
    }

    /// The program under test.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Path {
        &self.payload
    }

    /// What drivers keep, for the next world.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A root directory with a shell and a few programs, made when it is first asked for.
    pub(crate) fn image(&self) -> Verdict<&Path> {
        let made = self
            .image
            .get_or_init(|| program::image(self.directory.path().join("image")));
        made.as_deref().map_err(Clone::clone)
    }
}

/// Takes `--driver NAME` out of the arguments; `STOCKADE_DRIVER` stands for it. Without either it
/// is every driver.
///
/// # Errors
/// There is no such driver.
pub fn take_drivers(arguments: Vec<String>) -> Verdict<(Vec<&'static Driver>, Vec<String>)> {
    let mut named = std::env::var("STOCKADE_DRIVER")
        .ok()
        .filter(|name| !name.is_empty());
    let mut rest = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--driver") {
            Some("") => named = arguments.next(),
            Some(value) if value.starts_with('=') => named = Some(value[1..].to_owned()),
            _ => rest.push(argument),
        }
    }
    let drivers = match named {
        None => driver::ALL.iter().collect(),
        Some(name) => match Driver::named(&name) {
            Some(driver) => vec![driver],
            None => return fail(format!("the suite knows no driver {name}")),
        },
    };
    Ok((drivers, rest))
}

/// A driver, and how it stands with the user who runs the suite.
struct Subject {
    driver: &'static Driver,
    standing: Standing,
}

enum Standing {
    /// It builds sandboxes, and claims this.
    Claims(Claims),
    /// It gives this user none, and says so.
    Refuses(&'static str),
    /// It should give some, and makes no plan.
    Unusable(String),
}

struct Shared {
    suite: Suite,
    subjects: Vec<Subject>,
    ledger: Ledger,
    alone: RwLock<()>,
}

/// Runs the tables; returns true if nothing failed.
pub fn run(suite: Suite, drivers: &[&'static Driver], groups: &[Group], arguments: Vec<String>) -> bool {
    let arguments = Arguments::from_iter(arguments);
    let subjects = drivers.iter().map(|driver| subject(&suite, driver)).collect();
    let shared = Arc::new(Shared {
        suite,
        subjects,
        ledger: Ledger::default(),
        alone: RwLock::default(),
    });
    let conclusion = libtest_mimic::run(&arguments, trials(&shared, groups));
    if !arguments.list {
        for subject in &shared.subjects {
            let refused = match &subject.standing {
                Standing::Refuses(says) => Some(*says),
                Standing::Claims(_) | Standing::Unusable(_) => None,
            };
            if let Err(stop) = shared.ledger.keep(subject.driver, refused) {
                let _ = writeln!(std::io::stderr(), "the results were not kept: {}", stop.why());
            }
        }
    }
    // Threads that end with the process may hold the suite until then.
    shared.suite.kept.remove();
    let _ = std::fs::remove_dir_all(shared.suite.directory.path());
    !conclusion.has_failed()
}

fn subject(suite: &Suite, driver: &'static Driver) -> Subject {
    let standing = match driver.refusal(Who::this()) {
        Some(says) => Standing::Refuses(says),
        None => match World::new(suite, driver, false).and_then(|world| Claims::read(&world)) {
            Ok(claims) => Standing::Claims(claims),
            Err(stop) => Standing::Unusable(stop.why()),
        },
    };
    Subject { driver, standing }
}

/// One trial for each behaviour of each driver.
fn trials(shared: &Arc<Shared>, groups: &[Group]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (index, subject) in shared.subjects.iter().enumerate() {
        let name = format!("{}::driver", subject.driver.name);
        match subject.standing {
            Standing::Claims(_) => {}
            Standing::Refuses(_) => {
                let shared = Arc::clone(shared);
                trials.push(Trial::test(name, move || refuses(&shared, index)));
                continue;
            }
            Standing::Unusable(ref why) => {
                tell("SKIP", &name, why);
                trials.push(Trial::test(name, || Ok(())));
                continue;
            }
        }
        for (group, behaviours) in groups {
            for behaviour in behaviours.iter().copied() {
                let shared = Arc::clone(shared);
                let group: &'static str = group;
                let name = format!("{}::{group}::{}", subject.driver.name, behaviour.id);
                let run = move || one(&shared, index, group, &behaviour);
                trials.push(Trial::test(name, run));
            }
        }
    }
    trials
}

/// The refusal of a whole driver is checked as well.
fn refuses(shared: &Shared, index: usize) -> Result<(), Failed> {
    let subject = &shared.subjects[index];
    let Standing::Refuses(says) = subject.standing else {
        return Ok(());
    };
    let check = || -> Verdict {
        let world = World::new(&shared.suite, subject.driver, false)?;
        let sandbox = world.sandbox().flags(&["--workspace-mode", "rw"]);
        let finished = sandbox.run(&["touch", "ran"])?.expect(125)?;
        if world.path("work/ran").exists() {
            return fail("it said no, and the command ran");
        }
        finished.complains(&[subject.driver.name, says]).map(drop)
    };
    check().map_err(|stop| Failed::from(stop.why()))
}

fn one(shared: &Shared, index: usize, group: &'static str, behaviour: &Behaviour) -> Result<(), Failed> {
    let begun = Instant::now();
    let subject = &shared.subjects[index];
    let (outcome, reason) = if behaviour.alone {
        let _alone = shared.alone.write().unwrap_or_else(PoisonError::into_inner);
        check(shared, subject, behaviour)
    } else {
        let _others = shared.alone.read().unwrap_or_else(PoisonError::into_inner);
        check(shared, subject, behaviour)
    };
    let name = format!("{}::{group}::{}", subject.driver.name, behaviour.id);
    match (outcome, &reason) {
        (Outcome::Skipped, Some(why)) => tell("SKIP", &name, why),
        (Outcome::NotClaimed, Some(why)) => tell("UNCLAIMED", &name, why),
        _ => {}
    }
    shared.ledger.add(
        subject.driver,
        Row {
            id: behaviour.id,
            group,
            intent: behaviour.intent,
            outcome,
            reason: reason.clone(),
            seconds: begun.elapsed().as_secs_f64(),
        },
    );
    match (outcome, reason) {
        (Outcome::Failed, why) => Err(Failed::from(format!(
            "{}\n{}",
            behaviour.intent,
            why.unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

/// What a behaviour shows of a driver.
fn check(shared: &Shared, subject: &Subject, behaviour: &Behaviour) -> (Outcome, Option<String>) {
    match attempt(shared, subject, behaviour) {
        Ok(None) => match behaviour.how {
            How::Real => (Outcome::Shown, None),
            How::Simulated => (Outcome::Simulated, None),
        },
        Ok(Some(not_claimed)) => (Outcome::NotClaimed, Some(not_claimed)),
        Err(Stop::Skipped(why)) => (Outcome::Skipped, Some(why)),
        Err(Stop::Failed(why) | Stop::Broken(why)) => (Outcome::Failed, Some(why)),
    }
}

/// Nothing where it was run and holds; what is not claimed where that was shown instead.
fn attempt(shared: &Shared, subject: &Subject, behaviour: &Behaviour) -> Verdict<Option<String>> {
    let Standing::Claims(claims) = &subject.standing else {
        return skip("the driver makes no plan");
    };
    let mut world = World::new(&shared.suite, subject.driver, behaviour.small)?;
    for kind in behaviour.needs {
        if let Some(why) = unclaimed(claims.of(*kind)?) {
            claims::refused_if_required(&world, *kind)?;
            return Ok(Some(format!("{kind}: {why}")));
        }
    }
    for ability in behaviour.uses {
        match subject.driver.lack(*ability).map(|lack| lack.instead) {
            None => {}
            Some(Instead::Nothing(why)) => {
                ability.is_lacking(&world)?;
                return Ok(Some(format!("{}: {why}", ability.name())));
            }
            Some(Instead::Without(kind)) => world = giving_up(world, behaviour, kind)?,
        }
    }
    behaviour.run(&world)?;
    Ok(None)
}

/// A watched limit is a claim, too: the behaviour shows how it is watched.
fn unclaimed(support: &Support) -> Option<&str> {
    match support {
        Support::Absent { why, .. } => Some(why),
        Support::Enforced { .. } | Support::Watched { .. } => None,
    }
}

fn giving_up<'a>(world: World<'a>, behaviour: &Behaviour, kind: ControlKind) -> Verdict<World<'a>> {
    if behaviour.needs.contains(&kind) {
        return fail(format!("it is about {kind}, and does what {kind} keeps away"));
    }
    Ok(world.giving_up(kind))
}

/// Tells that a test could not check anything here.
pub fn tell_skip(name: &str, why: &str) {
    tell("SKIP", name, why);
}

fn tell(what: &str, name: &str, why: &str) {
    let line = format!("{what} {name}: {}\n", why.replace('\n', " "));
    // Nobody can be told if neither place can be written.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(arguments: &[&str]) -> Verdict<(Vec<&'static str>, Vec<String>)> {
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let (drivers, rest) = take_drivers(arguments)?;
        Ok((drivers.iter().map(|driver| driver.name).collect(), rest))
    }

    #[test]
    fn the_driver_is_taken_out_and_the_rest_stays() {
        let only = (vec!["landlock"], vec!["x".to_owned(), "exit".to_owned()]);
        assert_eq!(taken(&["x", "--driver", "landlock", "exit"]), Ok(only.clone()));
        assert_eq!(taken(&["x", "--driver=landlock", "exit"]), Ok(only));
    }

    #[test]
    fn without_a_name_it_is_every_driver() {
        let (drivers, rest) = taken(&["x", "--list"]).unwrap();
        assert_eq!(drivers.len(), driver::ALL.len());
        assert_eq!(rest, ["x", "--list"]);
    }

    #[test]
    fn an_unknown_driver_is_no_empty_success() {
        assert!(taken(&["x", "--driver", "natve"]).is_err());
    }
}
