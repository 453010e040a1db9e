//! The part of a long output that says why it failed.

use crate::summary::{Mark, mark};

/// Lines that are shown of one run; the log has all.
const SHOWN: usize = 160;
/// Lines of a program that are kept while it is not known how it ends.
const KEPT: usize = 80;

/// Takes in all lines and keeps those of programs that failed or ended early.
#[derive(Default)]
pub struct Excerpt {
    shown: Vec<String>,
    current: Vec<String>,
    open: bool,
}

impl Excerpt {
    /// Takes in one line.
    pub fn see(&mut self, line: &str) {
        match mark(line) {
            Some(Mark::Begins) => {
                if self.open {
                    self.keep();
                }
                (self.open, self.current) = (true, Vec::new());
            }
            Some(Mark::Ends { good }) => {
                if good {
                    self.current.clear();
                } else {
                    self.keep();
                }
                self.open = false;
            }
            None => self.add(line),
        }
    }

    /// What to show of a run that failed.
    pub fn close(mut self) -> Vec<String> {
        self.keep();
        self.shown
    }

    fn add(&mut self, line: &str) {
        let good = line.starts_with("test ") && (line.ends_with("... ok") || line.contains("... ignored"));
        if line.trim().is_empty() || good {
            return;
        }
        if self.current.len() == KEPT {
            self.current.remove(0);
        }
        self.current.push(line.to_owned());
    }

    fn keep(&mut self) {
        let room = SHOWN.saturating_sub(self.shown.len());
        self.shown.extend(self.current.drain(..).take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(output: &str) -> Vec<String> {
        let mut excerpt = Excerpt::default();
        output.lines().for_each(|line| excerpt.see(line));
        excerpt.close()
    }

    #[test]
    fn good_programs_say_nothing() {
        let output = "running 1 test\nnoise\ntest a ... ok\ntest result: ok. 1 passed; 0 failed\n";
        assert!(excerpt(output).is_empty());
    }

    #[test]
    fn failures_are_shown_without_the_tests_that_passed() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\nwhy\ntest result: FAILED. 1 passed; 1 failed\n\
                      running 0 tests\ntest result: ok. 0 passed\n";
        assert_eq!(excerpt(output), ["test b ... FAILED", "why"]);
    }

    #[test]
    fn a_program_that_ends_early_is_shown() {
        let output = "running 2 tests\naborted\nrunning 0 tests\ntest result: ok. 0 passed\n";
        assert_eq!(excerpt(output), ["aborted"]);
    }

    #[test]
    fn the_excerpt_is_bounded() {
        let many: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(excerpt(&format!("running 1 test\n{many}")).len(), KEPT);
    }
}
