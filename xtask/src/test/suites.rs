//! The steps that run test programs: all of them as the caller, and those that drive
//! sandboxes once more as an ordinary user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::excerpt::Excerpt;
use super::{Report, Stage, toolchain};
use crate::build::{self, Program};
use crate::process::{self, Stream};
use crate::summary::Summary;
use crate::user::{self, User};

/// All programs together; each must have its own, shorter limits.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Packages whose tests drive sandboxes or the kernel, and so behave differently without
/// root; with which of their programs.
const AS_USER: &[(&str, Which)] = &[
    ("crates/conformance", Which::Integration),
    ("crates/stockade", Which::Integration),
    ("crates/host", Which::All),
    ("crates/linux", Which::All),
    ("crates/guest", Which::All),
    ("crates/workspace", Which::All),
];

/// Programs that need the source tree or a compiler: they test types, not behaviour.
const NOT_AS_USER: &[&str] = &["forgery", "trybuild", "ui", "compile_fail"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Integration,
    All,
}

impl Stage<'_> {
    /// The release program: what users get is what is tested.
    pub fn program(&mut self) -> Result<PathBuf> {
        if self.program.is_none() {
            self.program = Some(build::release(self.tree)?);
        }
        self.program.clone().context("the release program was not built")
    }

    pub(super) fn tests(&mut self) -> Result<Vec<Program>> {
        if self.test_programs.is_none() {
            self.test_programs = Some(build::tests(self.tree)?);
        }
        self.test_programs.clone().context("the tests were not built")
    }
}

/// `cargo test --workspace` as whoever called.
pub fn as_this_user(stage: &mut Stage) -> Result<Report> {
    let program = stage.program()?;
    // Built apart, so that an error of the compiler is told as one.
    stage.tests()?;
    let logs = stage.tree.logs()?;
    let skips = fresh_file(&logs.join("tests.skips"))?;
    let mut command = stage.tree.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command
        .env("STOCKADE_BIN", &program)
        .env("STOCKADE_SKIP_LOG", &skips);
    let (mut summary, mut excerpt) = (Summary::default(), Excerpt::default());
    let mut see = |stream: Stream, line: &str| {
        summary.see(line);
        excerpt.see(line);
        if stream == Stream::Err && line.trim_start().starts_with("Running ") {
            println!("    {}", short(line));
        }
    };
    let finished = process::run(&mut command, &logs.join("tests.log"), LIMIT, &mut see)?;
    let mut report = gather(&summary, &skips)?;
    finish(&mut report, &finished, excerpt, "tests");
    Ok(report)
}

/// Cargo's line about a program, with the program's name in place of its whole path.
fn short(line: &str) -> String {
    let line = line.trim();
    let Some((what, path)) = line.split_once(" (") else {
        return line.to_owned();
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    format!(
        "{what} of {}",
        file.rsplit_once('-').map_or(file, |(name, _)| name)
    )
}

/// Tests that read files of the checkout, which the test user need not be able to reach, and
/// do nothing that depends on the user.
const NEED_THE_CHECKOUT: &[(&str, &str)] = &[
    ("user-stockade-it", "arguments::"),
    ("user-stockade-it", "diff::the_"),
    ("user-stockade-it", "generated::"),
];

/// The programs of [`AS_USER`], copied into the test user's home and run there.
pub fn as_test_user(stage: &mut Stage) -> Result<Report> {
    if !user::is_root() {
        return Ok(Report::skipped(
            "a second run as another user",
            "not root: all tests ran as an ordinary user",
        ));
    }
    let user = user::ensure_exists()?;
    let program = stage.program()?;
    let chosen: Vec<Program> = stage
        .tests()?
        .into_iter()
        .filter(|test| runs_as_user(test, stage))
        .collect();
    ensure!(
        !chosen.is_empty(),
        "no test program of the packages that run as an ordinary user was built"
    );
    let place = Place::make(&user)?;
    let stockade = place.take(&program, "stockade")?;
    let compiler = toolchain::lend(&place.directory.join("toolchain"))?;
    let mut total = Report::default();
    for test in &chosen {
        // Several packages call their tests `it`.
        let package = test
            .package
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let label = format!("user-{}-{}", package.unwrap_or_default(), test.name);
        let copy = place.take(&test.path, &label)?;
        println!("    Running {label}");
        let report = run_as_user(stage, &place, &copy, &label, (&stockade, compiler.as_deref()))?;
        total.add(report);
    }
    place.keep_results(stage)?;
    place.remove();
    Ok(total)
}

fn runs_as_user(test: &Program, stage: &Stage) -> bool {
    let of_package = |directory: &str| test.package == stage.tree.root.join(directory);
    let listed = AS_USER.iter().find(|(directory, _)| of_package(directory));
    let fits = listed.is_some_and(|(_, which)| *which == Which::All || test.integration);
    fits && !NOT_AS_USER.contains(&test.name.as_str())
}

fn run_as_user(
    stage: &Stage,
    place: &Place,
    test: &Path,
    label: &str,
    (stockade, compiler): (&Path, Option<&Path>),
) -> Result<Report> {
    let skips = fresh_file(&place.directory.join(format!("{label}.skips")))?;
    chown(&skips, Some(place.user.uid), Some(place.user.gid))?;
    let mut command: Command = place.user.command(test);
    let needing = NEED_THE_CHECKOUT.iter().filter(|(program, _)| *program == label);
    needing.for_each(|(_, tests)| {
        command.args(["--skip", tests]);
    });
    if let Some(compiler) = compiler {
        command.env("PATH", format!("{}:{}", compiler.display(), user::PATH));
    }
    command
        .env("STOCKADE_BIN", stockade)
        .env("STOCKADE_SKIP_LOG", &skips)
        .env("STOCKADE_RESULTS", place.directory.join("results"))
        .env("XDG_RUNTIME_DIR", place.directory.join("run"))
        .env("TMPDIR", place.directory.join("tmp"))
        .env("RUST_BACKTRACE", "1");
    run_program(stage, &mut command, &skips, label)
}

/// Runs a program of tests that tells its skips to a file, and counts.
pub(super) fn run_program(stage: &Stage, command: &mut Command, skips: &Path, label: &str) -> Result<Report> {
    let (mut summary, mut excerpt) = (Summary::default(), Excerpt::default());
    let mut see = |_: Stream, line: &str| {
        summary.see(line);
        excerpt.see(line);
    };
    let log = stage.tree.logs()?.join(format!("{label}.log"));
    let finished = process::run(command, &log, LIMIT, &mut see)?;
    let mut report = gather(&summary, skips)?;
    finish(&mut report, &finished, excerpt, label);
    Ok(report)
}

/// A directory in the test user's home: the checkout itself may be closed to that user.
struct Place<'a> {
    user: &'a User,
    directory: PathBuf,
}

impl<'a> Place<'a> {
    fn make(user: &'a User) -> Result<Self> {
        let directory = user.home.join("stockade-tests");
        let place = Self { user, directory };
        place.remove();
        for below in ["", "run", "tmp", "results"] {
            let path = place.directory.join(below);
            std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
            chown(&path, Some(user.uid), Some(user.gid))?;
        }
        Ok(place)
    }

    fn take(&self, program: &Path, name: &str) -> Result<PathBuf> {
        let copy = self.directory.join(name);
        std::fs::copy(program, &copy).with_context(|| format!("copying {}", program.display()))?;
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
        chown(&copy, Some(self.user.uid), Some(self.user.gid))?;
        Ok(copy)
    }

    /// What the conformance suite has shown goes where `matrix` looks for it.
    fn keep_results(&self, stage: &Stage) -> Result<()> {
        let kept = stage.tree.target.join("conformance");
        std::fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
        for entry in std::fs::read_dir(self.directory.join("results"))? {
            let entry = entry?;
            std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        Ok(())
    }

    fn remove(&self) {
        // What tests leave behind is their fault and told by them; the next run begins anew.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(super) fn fresh_file(path: &Path) -> Result<PathBuf> {
    std::fs::write(path, "").with_context(|| format!("making {}", path.display()))?;
    Ok(path.to_path_buf())
}

fn gather(summary: &Summary, skips: &Path) -> Result<Report> {
    let told = std::fs::read_to_string(skips).with_context(|| format!("reading {}", skips.display()))?;
    let closed = summary.close(&told);
    Ok(Report {
        counts: closed.counts,
        failures: summary.failures.clone(),
        skips: closed.skips,
        unclaimed: closed.unclaimed,
    })
}

/// A run may fail without a failed test: a crash, the time limit, or no test at all.
fn finish(report: &mut Report, finished: &process::Finished, excerpt: Excerpt, name: &str) {
    if let Some(problem) = finished.problem() {
        excerpt.close().iter().for_each(|line| println!("    {line}"));
        report.failures.push(format!("{name}: {problem}"));
        report.counts.failed = report.counts.failed.max(1);
    } else if report.counts == crate::summary::Counts::default() {
        println!("    {name} holds no test");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_not_placed() {
        let line = "     Running unittests src/lib.rs (/somewhere/debug/deps/stockade_wire-8257)";
        assert_eq!(short(line), "Running unittests src/lib.rs of stockade_wire");
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_counts_as_failed() {
        let mut report = Report::default();
        let finished = process::Finished {
            status: None,
            log: "log".into(),
        };
        finish(&mut report, &finished, Excerpt::default(), "tests");
        assert_eq!(report.counts.failed, 1);
    }
}
