//! A process that can be recognised later: its number alone may be given to another.

use serde::{Deserialize, Serialize};

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22); 0 where it
    /// could not be read.
    pub started: u64,
}

impl ProcessRef {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let started = read_stat("self").map_or(0, |stat| stat.started);
        Self {
            pid: std::process::id(),
            started,
        }
    }

    /// True if just this process runs; a zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let stat = read_stat(&self.pid.to_string());
        stat.is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// True if just this process is stopped, by job control or a debugger.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let stat = read_stat(&self.pid.to_string());
        stat.is_some_and(|stat| stat.started == self.started && matches!(stat.state, 'T' | 't'))
    }
}

struct Stat {
    state: char,
    started: u64,
}

fn read_stat(process: &str) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The second field is the program's name in parentheses and may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // Field 3 is taken; field 22 is the 19th after it.
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_forge_fields_by_its_name() {
        let text = "7 (a) Z 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = parse_stat(text).map(|stat| (stat.state, stat.started));
        assert_eq!(stat, Some(('S', 4242)));
    }

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let me = ProcessRef::current();
        assert!(me.started > 0 && me.is_alive());
        assert!(
            !ProcessRef {
                started: me.started + 1,
                ..me
            }
            .is_alive()
        );
    }
}
