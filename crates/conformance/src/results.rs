//! What a run of the suite showed, kept for the matrix.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::driver::{Driver, Who};
use stockade_probes::Verdict;

/// Version of the form below.
const VERSION: u32 = 2;

/// How a behaviour ended for one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds, on the real thing.
    Shown,
    /// It holds, with something made to look different.
    Simulated,
    /// It was checked and does not hold.
    Failed,
    /// The driver does not claim it, says so, and refuses a policy that requires it.
    NotClaimed,
    /// It could not be checked here.
    Skipped,
}

/// One result.
#[derive(Clone, Serialize)]
pub struct Row {
    /// The behaviour's name.
    pub id: &'static str,
    /// Its table.
    pub group: &'static str,
    /// What it shows.
    pub intent: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not hold, was skipped or is not claimed.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// All results for one driver, as the matrix reads them.
#[derive(Serialize)]
struct Results<'a> {
    version: u32,
    driver: &'a str,
    user: &'a str,
    kernel: String,
    /// Why this user gets no sandbox from the driver; then there are no rows.
    refused: Option<&'a str>,
    results: &'a [Row],
}

/// Collects rows of several drivers from several threads.
#[derive(Default)]
pub struct Ledger {
    rows: Mutex<Vec<(&'static str, Row)>>,
}

impl Ledger {
    /// Adds one.
    pub fn add(&self, driver: &Driver, row: Row) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push((driver.name, row));
    }

    /// Writes `DRIVER-USER.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, driver: &Driver, refused: Option<&str>) -> Verdict {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let own = rows.iter().filter(|(name, _)| *name == driver.name);
        let mut own: Vec<Row> = own.map(|(_, row)| row.clone()).collect();
        own.sort_by_key(|row| (row.group, row.id));
        let user = Who::this().name();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let results = Results {
            version: VERSION,
            driver: driver.name,
            user,
            kernel: kernel.trim().to_owned(),
            refused,
            results: &own,
        };
        let directory = directory()?;
        std::fs::create_dir_all(&directory)?;
        let text = serde_json::to_string_pretty(&results)?;
        let file = directory.join(format!("{}-{user}.json", driver.name));
        Ok(std::fs::write(file, text)?)
    }
}

/// `STOCKADE_RESULTS`, else `conformance` in cargo's target directory, else
/// `conformance-results` beside the test.
fn directory() -> Verdict<PathBuf> {
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
