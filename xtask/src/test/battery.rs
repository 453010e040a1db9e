//! `stockade probe` itself: a probe that a driver claims to hold and does not is a failed test, an
//! inconclusive one a skip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Report, Stage};
use crate::process::{self, Stream};
use crate::user::{self, User};
use crate::{dist, measured};

/// Both drivers of a user, with a cold tree of the system to copy.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The program writes this code where something is not held.
const DIFFERS: i32 = 1;

#[derive(Deserialize)]
struct Told {
    drivers: Vec<Driver>,
}

#[derive(Deserialize)]
struct Driver {
    driver: String,
    unusable: Option<String>,
    kept_for_ms: Option<u64>,
    probes: Vec<Probe>,
}

#[derive(Deserialize)]
struct Probe {
    id: String,
    group: String,
    outcome: String,
    detail: Option<String>,
}

/// As the caller.
pub fn as_this_user(stage: &mut Stage) -> Result<Report> {
    let program = dist::run(stage.tree)?;
    let state = stage.tree.target.join("battery");
    let command = || {
        let mut command = Command::new(&program);
        command.env("XDG_STATE_HOME", &state);
        command
    };
    let report = one(stage, command, "battery");
    // What drivers keep there would only be in the way.
    let _ = std::fs::remove_dir_all(&state);
    report
}

/// As an ordinary user, if the caller is root.
pub fn as_test_user(stage: &mut Stage) -> Result<Report> {
    if !user::is_root() {
        return Ok(Report::skipped(
            "the battery as another user",
            "not root: it ran as an ordinary user",
        ));
    }
    let program = dist::run(stage.tree)?;
    let user = user::ensure_exists()?;
    let place = Place::make(&user, &program)?;
    let program = place.0.join("bin/stockade");
    one(stage, || user.command(&program), "battery-user")
}

/// The whole battery; then it has to be kept, also when a part of it was run anew.
fn one(stage: &Stage, command: impl Fn() -> Command, name: &str) -> Result<Report> {
    let told = tell(stage, command(), &["--reprobe"], name)?;
    let report = count(&told, name);
    ensure!(report.counts.passed > 0, "{name}: nothing was probed");
    tell(stage, command(), &["--id", "FS03"], &format!("{name}-part"))?;
    let again = tell(stage, command(), &[], &format!("{name}-kept"))?;
    for (before, after) in told.drivers.iter().zip(&again.drivers) {
        let is_kept = after.kept_for_ms.is_some() && after.probes.len() == before.probes.len();
        ensure!(
            is_kept || before.unusable.is_some(),
            "{name}: the result of {} was not kept, or not all of it",
            before.driver
        );
    }
    Ok(report)
}

fn tell(stage: &Stage, mut command: Command, flags: &[&str], name: &str) -> Result<Told> {
    command.args(["probe", "--json"]).args(flags);
    let mut text = String::new();
    let mut see = |stream: Stream, line: &str| {
        if stream == Stream::Out {
            text.push_str(line);
            text.push('\n');
        }
    };
    let log = stage.tree.logs()?.join(format!("{name}.log"));
    let finished = process::run(&mut command, &log, LIMIT, &mut see)?;
    let code = finished.status.and_then(|status| status.code());
    ensure!(
        code == Some(0) || code == Some(DIFFERS),
        "{name}: stockade probe failed: see {}",
        log.display()
    );
    // For `measured`.
    std::fs::write(measured::results(stage.tree)?.join(format!("{name}.json")), &text)?;
    serde_json::from_str(&text).with_context(|| format!("the JSON in {}", log.display()))
}

fn count(told: &Told, name: &str) -> Report {
    let mut report = Report::default();
    for driver in &told.drivers {
        if let Some(why) = &driver.unusable {
            println!("    {name}: {} is not for this user: {why}", driver.driver);
        }
        for probe in &driver.probes {
            let called = format!("{name}-{}::{}::{}", driver.driver, probe.group, probe.id);
            let detail = probe.detail.clone().unwrap_or_default().replace('\n', " ");
            match probe.outcome.as_str() {
                "held" | "bonus" | "not-expected" => report.counts.passed += 1,
                "inconclusive" => {
                    report.counts.skipped += 1;
                    report.skips.push(format!("{called}: {detail}"));
                }
                _ => {
                    report.counts.failed += 1;
                    report.failures.push(format!("{called}: {detail}"));
                }
            }
        }
    }
    report
}

/// The programs in the test user's home, as they are installed.
struct Place(PathBuf);

impl Place {
    fn make(user: &User, program: &Path) -> Result<Self> {
        let place = Self(user.home.join("stockade-battery"));
        let _ = std::fs::remove_dir_all(&place.0);
        let prefix = program.parent().and_then(Path::parent).context("a prefix")?;
        for name in ["bin/stockade", "libexec/stockade/stockade-probes"] {
            let copy = place.0.join(name);
            std::fs::create_dir_all(copy.parent().context("a directory")?)?;
            std::fs::copy(prefix.join(name), &copy)
                .with_context(|| format!("copying to {}", copy.display()))?;
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The next run begins anew.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_good_has_failed() {
        let told: Told = serde_json::from_str(
            r#"{"drivers": [{"driver": "native", "probes": [
                {"id": "A", "group": "g", "outcome": "held"},
                {"id": "B", "group": "g", "outcome": "not-held", "detail": "two\nlines"},
                {"id": "C", "group": "g", "outcome": "inconclusive", "detail": "no tool"},
                {"id": "D", "group": "g", "outcome": "something new"}]}]}"#,
        )
        .expect("JSON");
        let report = count(&told, "battery");
        assert_eq!(report.counts.passed, 1);
        assert_eq!(report.skips, ["battery-native::g::C: no tool"]);
        assert_eq!(
            report.failures,
            ["battery-native::g::B: two lines", "battery-native::g::D: "]
        );
    }
}
