//! Reads what test programs print and what tests say of skipping, and adds it up.
//!
//! Rust's own harness and libtest-mimic print the same closing line:
//! `test result: ok. 3 passed; 0 failed; 1 ignored; …`. A test that finds out while it
//! runs that it cannot check anything here appends `SKIP <name>: <reason>` to the file
//! that the environment variable STOCKADE_SKIP_LOG names, and returns.

use std::collections::BTreeSet;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Checked, and held.
    pub passed: u64,
    /// Checked, and did not hold.
    pub failed: u64,
    /// Not checked here, with a reason.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// What was read from one run of test programs.
#[derive(Debug, Default)]
pub struct Summary {
    /// The sums of the closing lines.
    counts: Counts,
    /// How many closing lines were seen: none means that nothing ran.
    pub programs: u64,
    /// The names of failed tests.
    pub failures: Vec<String>,
    ignored: Vec<(String, String)>,
    /// A test program has begun and not told its end.
    open: bool,
    /// How many never did: they crashed or were killed.
    broken_off: u64,
}

/// A line that says where the output of one test program begins or ends.
pub enum Mark {
    /// `running 3 tests`.
    Begins,
    /// `test result: …`.
    Ends {
        /// No test failed.
        good: bool,
    },
}

/// Reads such a line.
pub fn mark(line: &str) -> Option<Mark> {
    if let Some(rest) = line.strip_prefix("running ") {
        let (number, noun) = rest.trim_end().split_once(' ')?;
        return (number.parse::<u64>().is_ok() && noun.starts_with("test")).then_some(Mark::Begins);
    }
    let word = line.trim().strip_prefix("test result: ")?;
    Some(Mark::Ends {
        good: word.starts_with("ok."),
    })
}

impl Summary {
    /// Takes in one line of output.
    pub fn see(&mut self, line: &str) {
        match mark(line) {
            Some(Mark::Begins) => {
                self.broken_off += u64::from(self.open);
                self.open = true;
            }
            Some(Mark::Ends { .. }) => self.open = false,
            None => {}
        }
        if let Some(counts) = closing_line(line) {
            self.counts += counts;
            self.programs += 1;
        } else if let Some((name, result)) = test_line(line) {
            match result
                .split_once(',')
                .map_or((result, ""), |(word, why)| (word, why.trim()))
            {
                ("FAILED", _) => self.failures.push(name.to_owned()),
                ("ignored", why) => self.ignored.push((name.to_owned(), why.to_owned())),
                _ => {}
            }
        }
    }

    /// The counts and the reasons for what was skipped, with `log`, the text of the skip
    /// log, taken in. A test that skips itself ends as "ok": it moves from passed to skipped.
    /// What a driver does not claim moves out of the counts altogether.
    pub fn close(&self, log: &str) -> Closed {
        let told: BTreeSet<(&str, &str)> = log.lines().filter_map(|line| told_line(line, "SKIP ")).collect();
        let unclaimed: BTreeSet<(&str, &str)> = log
            .lines()
            .filter_map(|line| told_line(line, "UNCLAIMED "))
            .collect();
        let mut counts = self.counts;
        let count = u64::try_from(unclaimed.len()).unwrap_or(u64::MAX);
        counts.passed -= count.min(counts.passed);
        counts.failed += self.broken_off + u64::from(self.open);
        let mut reasons: Vec<String> = told.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        let names: BTreeSet<&str> = told.iter().map(|(name, _)| *name).collect();
        let ignored_too = names
            .iter()
            .filter(|name| self.ignored.iter().any(|(other, _)| same(other, name)));
        let moved = u64::try_from(names.len() - ignored_too.count())
            .unwrap_or(u64::MAX)
            .min(counts.passed);
        counts.passed -= moved;
        counts.skipped += moved;
        for (name, why) in &self.ignored {
            if !names.iter().any(|told| same(name, told)) {
                let why = if why.is_empty() {
                    "ignored, and no reason is given"
                } else {
                    why
                };
                reasons.push(format!("{name}: {why}"));
            }
        }
        Closed {
            counts,
            skips: reasons,
            unclaimed: unclaimed
                .iter()
                .map(|(name, why)| format!("{name}: {why}"))
                .collect(),
        }
    }
}

/// The end of a run of test programs.
pub struct Closed {
    /// How many tests ended how.
    pub counts: Counts,
    /// `name: reason` of what was skipped.
    pub skips: Vec<String>,
    /// `name: reason` of what a driver does not claim; that it says so was checked.
    pub unclaimed: Vec<String>,
}

/// Tells that a test of this crate could not check anything here.
#[cfg(test)]
pub fn skip(name: &str, why: &str) {
    use std::io::Write;
    if let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") {
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .unwrap();
        writeln!(log, "SKIP {name}: {why}").unwrap();
    }
}

/// Harnesses print `module::test`, a test itself may know only `test`.
fn same(full: &str, told: &str) -> bool {
    full == told || full.strip_suffix(told).is_some_and(|rest| rest.ends_with("::"))
}

fn closing_line(line: &str) -> Option<Counts> {
    let (_, rest) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in rest.split(';') {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => {}
        }
    }
    Some(counts)
}

/// `test NAME ... RESULT`; libtest-mimic pads the name and may put a kind in brackets.
fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.trim(), result.trim()))
}

fn told_line<'a>(line: &'a str, what: &str) -> Option<(&'a str, &'a str)> {
    let (name, why) = line.trim().strip_prefix(what)?.split_once(": ")?;
    Some((name.trim(), why.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Summary {
        let mut summary = Summary::default();
        output.lines().for_each(|line| summary.see(line));
        summary
    }

    const LIBTEST: &str = "
running 3 tests
test deep::works ... ok
test deep::breaks ... FAILED
test deep::waits ... ignored, needs a second machine
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
    const MIMIC: &str = "
running 2 tests
test [native] home_hidden       ... ok
test [native] network_none      ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s
";

    #[test]
    fn both_harnesses_add_up() {
        let summary = read(&format!("{LIBTEST}{MIMIC}"));
        let closed = summary.close("");
        let (counts, reasons) = (closed.counts, closed.skips);
        assert_eq!(
            counts,
            Counts {
                passed: 3,
                failed: 1,
                skipped: 1
            }
        );
        assert_eq!(summary.programs, 2);
        assert_eq!(summary.failures, ["deep::breaks"]);
        assert_eq!(reasons, ["deep::waits: needs a second machine"]);
    }

    #[test]
    fn a_test_that_skips_itself_is_not_passed() {
        let closed = read(MIMIC).close("SKIP [native] network_none: no network namespaces here\n");
        let (counts, reasons) = (closed.counts, closed.skips);
        assert_eq!(
            counts,
            Counts {
                passed: 1,
                failed: 0,
                skipped: 1
            }
        );
        assert_eq!(reasons, ["[native] network_none: no network namespaces here"]);
    }

    #[test]
    fn what_is_not_claimed_is_neither_passed_nor_skipped() {
        let closed = read(MIMIC).close("UNCLAIMED [native] home_hidden: it has no home\n");
        assert_eq!((closed.counts.passed, closed.counts.skipped), (1, 0));
        assert_eq!(closed.unclaimed, ["[native] home_hidden: it has no home"]);
    }

    #[test]
    fn a_skip_told_twice_counts_once() {
        let counts = read(MIMIC).close("SKIP a: why\nSKIP a: why\n").counts;
        assert_eq!(
            counts,
            Counts {
                passed: 1,
                failed: 0,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_skip_that_is_ignored_as_well_counts_once() {
        let closed = read(LIBTEST).close("SKIP waits: no second machine\n");
        let (counts, reasons) = (closed.counts, closed.skips);
        assert_eq!(
            counts,
            Counts {
                passed: 1,
                failed: 1,
                skipped: 1
            }
        );
        assert_eq!(reasons, ["waits: no second machine"]);
    }

    #[test]
    fn a_program_that_breaks_off_fails() {
        let counts = read(&format!(
            "running 5 tests\ntest a ... ok\n{MIMIC}running 1 test\n"
        ))
        .close("")
        .counts;
        assert_eq!(
            counts,
            Counts {
                passed: 2,
                failed: 2,
                skipped: 0
            }
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        let summary = read("test result\ntest results are fine\nSKIP me\n9 passed");
        assert_eq!(summary.close("SKIP me").counts, Counts::default());
        assert_eq!(summary.programs, 0);
    }

    #[test]
    fn the_closing_line_has_the_agreed_form() {
        let counts = Counts {
            passed: 12,
            failed: 0,
            skipped: 3,
        };
        assert_eq!(counts.to_string(), "12 passed, 0 failed, 3 skipped");
    }
}
