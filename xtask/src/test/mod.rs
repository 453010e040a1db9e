//! `test`: every check and every test of the project, in one command.

mod battery;
mod excerpt;
mod other_guest;
mod permitted;
mod readme;
mod steps;
mod suites;
mod toolchain;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::summary::Counts;
use crate::tree::Tree;
use steps::STEPS;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Run only these steps (see --list); what they need is built all the same
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_name = "STEP")]
    without: Vec<String>,
    /// Name the steps and end
    #[arg(long)]
    list: bool,
}

/// One part of the whole.
struct Step {
    /// What `--only` calls it.
    name: &'static str,
    /// What it shows when it passes.
    shows: &'static str,
    /// An error is a failure of the step as a whole.
    run: fn(&mut Stage) -> Result<Report>,
}

/// What steps work on and hand to later ones.
struct Stage<'a> {
    tree: &'a Tree,
    /// The release program, once built.
    program: Option<PathBuf>,
    /// The sandboxed half of the tests: all test programs, once built.
    test_programs: Option<Vec<crate::build::Program>>,
}

/// What a step has to say.
#[derive(Default)]
struct Report {
    counts: Counts,
    /// Names of failed tests and lines of failed checks.
    failures: Vec<String>,
    /// `name: reason`.
    skips: Vec<String>,
    /// `name: reason` of what a driver does not claim, and says so.
    unclaimed: Vec<String>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.counts += other.counts;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
        self.unclaimed.extend(other.unclaimed);
    }

    /// A check that is no test program counts as one test.
    fn passed() -> Self {
        Self {
            counts: Counts {
                passed: 1,
                ..Counts::default()
            },
            ..Self::default()
        }
    }

    fn failed(failures: Vec<String>) -> Self {
        Self {
            counts: Counts {
                failed: 1,
                ..Counts::default()
            },
            failures,
            ..Self::default()
        }
    }

    fn skipped(what: &str, why: &str) -> Self {
        let skips = vec![format!("{what}: {why}")];
        Self {
            counts: Counts {
                skipped: 1,
                ..Counts::default()
            },
            skips,
            ..Self::default()
        }
    }
}

/// What all steps had to say.
#[derive(Default)]
struct Total {
    counts: Counts,
    skips: BTreeSet<String>,
    unclaimed: BTreeSet<String>,
    failed: Vec<&'static str>,
}

impl Total {
    fn add(&mut self, step: &Step, report: Report) {
        if report.counts.failed > 0 {
            self.failed.push(step.name);
        }
        let named = |lines: Vec<String>| lines.into_iter().map(|line| format!("{}: {line}", step.name));
        self.skips.extend(named(report.skips));
        self.unclaimed.extend(named(report.unclaimed));
        self.counts += report.counts;
    }
}

/// Runs the steps; the last line that it prints counts everything.
pub fn run(tree: &Tree, options: &Options) -> Result<ExitCode> {
    if options.list {
        STEPS
            .iter()
            .for_each(|step| println!("{:10} {}", step.name, step.shows));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(options)?;
    let mut stage = Stage {
        tree,
        program: None,
        test_programs: None,
    };
    let permitted = permitted::read(tree)?;
    let mut total = Total::default();
    let begin = Instant::now();
    for (index, step) in chosen.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, chosen.len(), step.name, step.shows);
        let started = Instant::now();
        let mut report =
            (step.run)(&mut stage).unwrap_or_else(|error| Report::failed(vec![format!("{error:#}")]));
        let new = permitted::new_ones(&permitted, step.name, &report.skips);
        report.counts.failed += u64::try_from(new.len()).unwrap_or(u64::MAX);
        report.failures.extend(new);
        report
            .failures
            .iter()
            .for_each(|failure| println!("    FAILED {failure}"));
        println!(
            "    {} in {:.1} s",
            report.counts,
            started.elapsed().as_secs_f64()
        );
        total.add(step, report);
    }
    let good = close(&total, begin);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the end; true if all is well.
fn close(total: &Total, begin: Instant) -> bool {
    for (what, lines) in [
        (
            "not claimed by the driver, which says so and refuses a policy that requires it",
            &total.unclaimed,
        ),
        ("skipped", &total.skips),
    ] {
        if !lines.is_empty() {
            println!("{what}: {}", lines.len());
            lines.iter().for_each(|line| println!("    {line}"));
        }
    }
    if !total.failed.is_empty() {
        println!("failed steps: {}", total.failed.join(", "));
    }
    println!("all steps took {:.0} s", begin.elapsed().as_secs_f64());
    println!("{}", total.counts);
    total.counts.failed == 0 && total.failed.is_empty() && total.counts.passed > 0
}

fn choose(options: &Options) -> Result<Vec<&'static Step>> {
    for name in options.only.iter().chain(&options.without) {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("there is no step {name}; the steps are {}", names.join(", "));
        }
    }
    let named = |names: &[String], step: &Step| names.iter().any(|name| name == step.name);
    let steps = STEPS
        .iter()
        .filter(|step| options.only.is_empty() || named(&options.only, step));
    Ok(steps.filter(|step| !named(&options.without, step)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: &[&str], without: &[&str]) -> Options {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Options {
            only: own(only),
            without: own(without),
            list: false,
        }
    }

    #[test]
    fn steps_are_chosen_by_name() {
        let names = |options| {
            choose(&options)
                .unwrap()
                .iter()
                .map(|step| step.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(options(&["shape", "fmt"], &[])), ["fmt", "shape"]);
        assert!(!names(options(&[], &["setup"])).contains(&"setup"));
        assert_eq!(names(options(&[], &[])).len(), STEPS.len());
        assert!(choose(&options(&["shapes"], &[])).is_err());
    }

    #[test]
    fn a_failure_or_nothing_at_all_fails() {
        let (now, one) = (
            Instant::now(),
            Counts {
                passed: 1,
                ..Counts::default()
            },
        );
        let total = |counts, failed| Total {
            counts,
            failed,
            ..Total::default()
        };
        assert!(close(&total(one, vec![]), now));
        assert!(!close(&total(one, vec!["fmt"]), now));
        assert!(!close(&total(Counts { failed: 1, ..one }, vec![]), now));
        assert!(!close(&total(Counts::default(), vec![]), now));
    }
}
