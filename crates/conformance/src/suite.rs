//! Runs tables of behaviours as tests, and keeps the results for the matrix.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Serialize;

use crate::behaviour::{Behaviour, How, Stop, Verdict};
use crate::{host, program, world::World};

/// A table with its heading.
pub type Group = (&'static str, &'static [Behaviour]);

/// What all behaviours share.
pub struct Suite {
    program: PathBuf,
    driver: Option<String>,
    payload: PathBuf,
    _directory: tempfile::TempDir,
}

/// One result, as the matrix reads it.
#[derive(Serialize)]
struct Row {
    id: &'static str,
    group: &'static str,
    intent: &'static str,
    /// `real`, `simulated` or `not-run`.
    column: &'static str,
    /// `passed`, `failed` or `skipped`.
    outcome: &'static str,
    reason: Option<String>,
    seconds: f64,
}

/// All results of one run.
#[derive(Serialize)]
struct Results<'a> {
    version: u32,
    driver: &'a str,
    user: &'a str,
    kernel: String,
    results: &'a [Row],
}

impl Suite {
    /// Finds the program and makes the payload.
    ///
    /// # Errors
    /// There is no program to test.
    pub fn open(driver: Option<String>) -> Verdict<Self> {
        host::adopt_orphans()?;
        let directory = tempfile::Builder::new().prefix("stockade-suite-").tempdir()?;
        let payload = program::install(directory.path())?;
        Ok(Self {
            program: program::stockade()?,
            driver,
            payload,
            _directory: directory,
        })
    }

    /// The program under test.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The driver under test, if it is not the default.
    #[must_use]
    pub fn driver(&self) -> Option<&str> {
        self.driver.as_deref()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Path {
        &self.payload
    }
}

/// Takes `--driver NAME` out of the arguments; `STOCKADE_DRIVER` stands for it.
#[must_use]
pub fn take_driver(arguments: Vec<String>) -> (Option<String>, Vec<String>) {
    let mut driver = std::env::var("STOCKADE_DRIVER")
        .ok()
        .filter(|name| !name.is_empty());
    let mut rest = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--driver") {
            Some("") => driver = arguments.next(),
            Some(value) if value.starts_with('=') => driver = Some(value[1..].to_owned()),
            _ => rest.push(argument),
        }
    }
    (driver, rest)
}

struct Shared {
    suite: Suite,
    rows: Mutex<Vec<Row>>,
    alone: RwLock<()>,
}

/// Runs the tables; returns true if nothing failed.
pub fn run(suite: Suite, groups: &'static [Group], arguments: Vec<String>) -> bool {
    let arguments = Arguments::from_iter(arguments);
    let shared = Arc::new(Shared {
        suite,
        rows: Mutex::default(),
        alone: RwLock::default(),
    });
    let mut trials = Vec::new();
    for (group, behaviours) in groups {
        for behaviour in *behaviours {
            let shared = Arc::clone(&shared);
            let run = move || one(&shared, group, behaviour);
            trials.push(Trial::test(format!("{group}::{}", behaviour.id), run));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list
        && let Err(Stop::Failed(why) | Stop::Skipped(why)) = keep(&shared)
    {
        let _ = writeln!(std::io::stderr(), "the results were not kept: {why}");
    }
    // Threads that end with the process may hold the suite until then.
    if let Some(directory) = shared.suite.payload.parent() {
        let _ = std::fs::remove_dir_all(directory);
    }
    !conclusion.has_failed()
}

fn one(shared: &Shared, group: &'static str, behaviour: &'static Behaviour) -> Result<(), Failed> {
    let begun = Instant::now();
    let verdict = if behaviour.alone {
        let _alone = shared.alone.write().unwrap_or_else(PoisonError::into_inner);
        check(shared, behaviour)
    } else {
        let _others = shared.alone.read().unwrap_or_else(PoisonError::into_inner);
        check(shared, behaviour)
    };
    let (column, outcome, reason) = match (&verdict, behaviour.how) {
        (Err(Stop::Skipped(why)), _) => ("not-run", "skipped", Some(why.clone())),
        (Err(Stop::Failed(why)), how) => (column(how), "failed", Some(why.clone())),
        (Ok(()), how) => (column(how), "passed", None),
    };
    if let Some(why) = reason.as_ref().filter(|_| outcome == "skipped") {
        tell_skip(&format!("{group}::{}", behaviour.id), why);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let row = Row {
        id: behaviour.id,
        group,
        intent: behaviour.intent,
        column,
        outcome,
        reason,
        seconds,
    };
    shared
        .rows
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(row);
    match verdict {
        Ok(()) | Err(Stop::Skipped(_)) => Ok(()),
        Err(Stop::Failed(why)) => Err(Failed::from(format!("{}\n{why}", behaviour.intent))),
    }
}

fn check(shared: &Shared, behaviour: &Behaviour) -> Verdict {
    let world = World::new(&shared.suite)?;
    behaviour.run(&world)
}

fn column(how: How) -> &'static str {
    match how {
        How::Real => "real",
        How::Simulated => "simulated",
    }
}

fn tell_skip(name: &str, why: &str) {
    let line = format!("SKIP {name}: {}\n", why.replace('\n', " "));
    // Nobody can be told if neither place can be written.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Writes `DRIVER-USER.json` for the matrix.
fn keep(shared: &Shared) -> Verdict {
    let mut rows = std::mem::take(&mut *shared.rows.lock().unwrap_or_else(PoisonError::into_inner));
    rows.sort_by_key(|row| (row.group, row.id));
    let driver = shared.suite.driver().unwrap_or("native");
    let user = if host::is_root() { "root" } else { "user" };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned();
    let results = Results {
        version: 1,
        driver,
        user,
        kernel,
        results: &rows,
    };
    let directory = results_directory()?;
    std::fs::create_dir_all(&directory)?;
    let text = serde_json::to_string_pretty(&results)?;
    Ok(std::fs::write(
        directory.join(format!("{driver}-{user}.json")),
        text,
    )?)
}

/// `STOCKADE_RESULTS`, else `conformance` in cargo's target directory, else
/// `conformance-results` beside the test.
fn results_directory() -> Verdict<PathBuf> {
    if let Some(named) = std::env::var_os("STOCKADE_RESULTS") {
        return Ok(named.into());
    }
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .filter(|path| path.join("CACHEDIR.TAG").is_file())
        .last();
    let beside = || own.with_file_name("conformance-results");
    Ok(target.map_or_else(beside, |target| target.join("conformance")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(arguments: &[&str]) -> (Option<String>, Vec<String>) {
        take_driver(arguments.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn the_driver_is_taken_out_and_the_rest_stays() {
        assert_eq!(
            taken(&["x", "--driver", "docker", "exit"]),
            (Some("docker".into()), vec!["x".into(), "exit".into()])
        );
        assert_eq!(taken(&["x", "--driver=docker"]).0, Some("docker".into()));
        assert_eq!(taken(&["x", "--list"]), (None, vec!["x".into(), "--list".into()]));
    }
}
