//! What the machine says on its serial line, cut into the runs of test programs.

use crate::process::Finished;
use crate::summary::{Counts, Summary};

/// What one run of a test program said.
#[derive(Default)]
pub struct Section {
    /// What it was.
    pub label: String,
    /// Its tests.
    pub summary: Summary,
    /// What it told of skipped tests.
    pub told: String,
    /// Its exit code; none if it never ended.
    pub code: Option<i32>,
}

/// What the machine said.
#[derive(Default)]
pub struct Output {
    /// The runs, in order.
    pub sections: Vec<Section>,
    done: bool,
}

impl Output {
    /// Takes in one line.
    pub fn see(&mut self, line: &str) {
        if let Some(mark) = line.strip_prefix("=== ") {
            self.mark(mark.trim());
        } else if let Some(section) = self.sections.last_mut() {
            section.summary.see(line);
            if line.starts_with("SKIP ") || line.starts_with("UNCLAIMED ") {
                section.told.push_str(line);
                section.told.push('\n');
            }
        }
    }

    fn mark(&mut self, mark: &str) {
        let words: Vec<&str> = mark.split(' ').collect();
        match words.as_slice() {
            ["begin", label] => self.sections.push(Section {
                label: (*label).to_owned(),
                ..Section::default()
            }),
            ["end", label, code] => {
                if let Some(section) = self.sections.last_mut().filter(|one| one.label == *label) {
                    section.code = code.parse().ok();
                }
            }
            ["done"] => self.done = true,
            _ => {}
        }
    }

    /// All tests together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for section in &self.sections {
            all += section.summary.close(&section.told).counts;
        }
        all
    }

    /// What went wrong, beside the tests that failed.
    pub fn problems(&self, finished: &Finished) -> Vec<String> {
        let mut problems: Vec<String> = finished.problem().into_iter().collect();
        if !self.done {
            problems.push(format!(
                "the machine did not run all tests; full log: {}, and that of its console beside it",
                finished.log.display()
            ));
        }
        let bad = self.sections.iter().filter(|section| section.code != Some(0));
        problems.extend(bad.map(|section| match section.code {
            Some(code) => format!("{}: exit code {code}", section.label),
            None => format!("{}: it never ended", section.label),
        }));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn read(text: &str) -> Output {
        let mut output = Output::default();
        text.lines().for_each(|line| output.see(line));
        output
    }

    fn ended() -> Finished {
        Finished {
            status: Some(std::process::ExitStatus::from_raw(0)),
            log: "log".into(),
        }
    }

    const GOOD: &str = "noise\n=== begin a\nrunning 2 tests\ntest x ... ok\nSKIP y: why\ntest y ... ok\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n=== end a 0\n";

    #[test]
    fn a_section_has_its_tests_and_skips() {
        let output = read(&format!("{GOOD}=== done\n"));
        let closed = output.sections[0].summary.close(&output.sections[0].told);
        assert_eq!((closed.counts.passed, closed.counts.skipped), (1, 1));
        assert!(output.problems(&ended()).is_empty());
    }

    #[test]
    fn a_machine_that_stops_early_is_a_problem() {
        assert!(read(GOOD).problems(&ended())[0].contains("did not run all tests"));
        let broken = read("=== begin a\nrunning 2 tests\n=== done\n");
        assert_eq!(broken.problems(&ended()), ["a: it never ended"]);
        assert_eq!(broken.sections[0].summary.close("").counts.failed, 1);
    }

    #[test]
    fn a_program_that_fails_is_a_problem() {
        let failed = GOOD.replace("=== end a 0", "=== end a 101") + "=== done\n";
        assert_eq!(read(&failed).problems(&ended()), ["a: exit code 101"]);
    }
}
