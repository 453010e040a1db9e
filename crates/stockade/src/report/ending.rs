//! How a run ended, in one line for a person or as JSON.

use serde::Serialize;
use stockade_domain::spec::Limits;
use stockade_domain::units::DurationMs;
use stockade_domain::{Exit, Planned, Support, Usage};
use stockade_host::workspace::Counts;

use super::{Shown, counts_line};

/// All that is told at the end of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The sandbox's name.
    pub sandbox: String,
    /// The driver.
    pub driver: String,
    /// How many controls are verified.
    pub verified: usize,
    /// How many had to be.
    pub controls: usize,
    /// How the command ended.
    #[serde(flatten)]
    pub exit: Exit,
    /// Who or what decided it, where it was not the command itself.
    pub why: Option<String>,
    /// The exit code that follows: 125 where the record is incomplete, however the command ended.
    pub code: i32,
    /// The audit log and the sandbox's own record tell all of this run.
    pub recorded: bool,
    /// Time from the start of the command, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub duration: DurationMs,
    /// What it used.
    pub usage: Usage,
    /// The limits that were asked for, to name the one that was reached.
    #[serde(skip)]
    pub limits: Limits,
    /// What is kept apart, if anything is.
    pub changes: Option<Counts>,
    /// The changes were too many to count all.
    pub changes_truncated: bool,
}

/// The line after a run.
pub fn ended_line(outcome: &Outcome) -> String {
    let mut line = format!(
        "{}, {} of {} controls verified",
        outcome.driver, outcome.verified, outcome.controls
    );
    line.push_str(" · ");
    line.push_str(&exit_clause(&outcome.exit, &outcome.limits));
    if let Some(clause) = kills_clause(&outcome.exit, outcome.usage.oom_kills, &outcome.limits) {
        line.push_str(&format!(" · {clause}"));
    }
    // What was a limit of the command's names itself.
    if let (Exit::Killed, Some(why)) = (outcome.exit, &outcome.why) {
        line.push_str(&format!(" ({})", Shown::new(why)));
    }
    if let Some(counts) = outcome.changes.filter(|counts| !counts.is_empty()) {
        let more = if outcome.changes_truncated {
            "more than "
        } else {
            ""
        };
        line.push_str(&format!(
            " · {more}{}, kept apart (stockade changes)",
            counts_line(&counts)
        ));
    }
    line
}

/// What is said where the record of a run is incomplete.
pub fn unrecorded_line(outcome: &Outcome, why: &str) -> String {
    format!(
        "the record of this run is incomplete, so the exit code is {}; the command itself: {}\n  {why}",
        outcome.code,
        exit_clause(&outcome.exit, &outcome.limits)
    )
}

/// How the command ended, and for a limit which one and how to raise it.
pub fn exit_clause(exit: &Exit, limits: &Limits) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(number) => format!("ended by signal {number}{}", signal_name(*number)),
        Exit::OutOfMemory => {
            let limit = value(limits.memory.map(|limit| limit.to_string()));
            format!("killed: out of memory{limit}: raise with --memory")
        }
        Exit::TimedOut => {
            let limit = value(limits.wall_time.map(|limit| limit.to_string()));
            format!("killed: time limit{limit}: raise with --timeout")
        }
        Exit::OutputLimit => {
            let limit = value(limits.output.map(|limit| limit.to_string()));
            format!("killed: too much output{limit}: raise with --output")
        }
        Exit::Killed => "killed: stopped from outside".to_owned(),
    }
}

/// What the memory limit ended beside the command, which may go on without it, or end for that reason.
pub fn kills_clause(exit: &Exit, oom_kills: Option<u64>, limits: &Limits) -> Option<String> {
    // Then the command's own end tells of the limit.
    let count = oom_kills.filter(|count| *count > 0 && *exit != Exit::OutOfMemory)?;
    let limit = value(limits.memory.map(|limit| limit.to_string()));
    Some(format!(
        "{} killed at the memory limit{limit}: raise with --memory",
        processes(count)
    ))
}

/// "1 process", "2 processes".
pub fn processes(count: u64) -> String {
    format!("{count} {}", if count == 1 { "process" } else { "processes" })
}

fn value(value: Option<String>) -> String {
    value.map(|value| format!(" ({value})")).unwrap_or_default()
}

/// The line about a preferred control that is not enforced.
pub fn shortfall_line(planned: &Planned) -> Option<String> {
    let control = &planned.demand.control;
    match &planned.support {
        Support::Enforced { .. } => None,
        Support::Watched { how, overshoot, .. } => Some(format!(
            "note: {control} is watched here, not enforced: {how}; {overshoot}"
        )),
        Support::Absent { why, fix } => {
            let fix = fix
                .as_ref()
                .map(|fix| format!("; fix: {}", Shown::new(fix)))
                .unwrap_or_default();
            Some(format!(
                "note: {control} is not enforced here: {}{fix}",
                Shown::new(why)
            ))
        }
    }
}

fn signal_name(number: i32) -> String {
    /// Numbers 1 to 31 as on Linux; `SIGRTMIN` and later have no names of their own.
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    index
        .and_then(|index| NAMES.get(index))
        .map(|name| format!(" (SIG{name})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_domain::units::ByteCount;
    use stockade_domain::{Control, ControlKind, Demand, Need, Origin};

    fn outcome(exit: Exit, changes: Option<Counts>) -> Outcome {
        Outcome {
            sandbox: "a".into(),
            driver: "native".into(),
            verified: 24,
            controls: 24,
            exit,
            why: None,
            code: exit.code(),
            recorded: true,
            duration: DurationMs(5),
            usage: Usage::default(),
            limits: Limits {
                memory: Some(ByteCount(512 << 20)),
                ..Limits::default()
            },
            changes,
            changes_truncated: false,
        }
    }

    #[test]
    fn the_line_tells_controls_exit_and_changes() {
        let counts = Counts {
            added: 3,
            changed: 1,
            ..Counts::default()
        };
        assert_eq!(
            ended_line(&outcome(Exit::Code(0), Some(counts))),
            "native, 24 of 24 controls verified · exit 0 · 4 files changed, kept apart (stockade changes)"
        );
    }

    #[test]
    fn who_killed_it_is_told() {
        let why = Some("disk limit of 1 MiB".to_owned());
        let killed = Outcome {
            why,
            ..outcome(Exit::Killed, None)
        };
        assert_eq!(
            ended_line(&killed),
            "native, 24 of 24 controls verified · killed: stopped from outside (disk limit of 1 MiB)"
        );
    }

    #[test]
    fn without_changes_nothing_is_said_of_them() {
        assert_eq!(
            ended_line(&outcome(Exit::Code(3), Some(Counts::default()))),
            "native, 24 of 24 controls verified · exit 3"
        );
    }

    #[test]
    fn a_limit_is_named_with_its_value_and_its_flag() {
        let limits = outcome(Exit::OutOfMemory, None).limits;
        assert_eq!(
            exit_clause(&Exit::OutOfMemory, &limits),
            "killed: out of memory (512 MiB): raise with --memory"
        );
        assert_eq!(
            exit_clause(&Exit::TimedOut, &limits),
            "killed: time limit: raise with --timeout"
        );
    }

    #[test]
    fn what_the_memory_limit_killed_beside_the_command_is_told() {
        let with = |exit, oom_kills| {
            let mut outcome = outcome(exit, None);
            outcome.usage.oom_kills = oom_kills;
            ended_line(&outcome)
        };
        assert_eq!(
            with(Exit::Code(137), Some(1)),
            "native, 24 of 24 controls verified · exit 137 · 1 process killed at the memory limit (512 MiB): \
             raise with --memory"
        );
        assert_eq!(
            with(Exit::Signal(15), Some(3)),
            "native, 24 of 24 controls verified · ended by signal 15 (SIGTERM) · 3 processes killed at the memory \
             limit (512 MiB): raise with --memory"
        );
        // Nothing was killed, or nobody counted; and what is said already is not said twice.
        let plain = "native, 24 of 24 controls verified · exit 137";
        assert_eq!(
            (with(Exit::Code(137), Some(0)), with(Exit::Code(137), None)),
            (plain.to_owned(), plain.to_owned())
        );
        assert_eq!(
            with(Exit::OutOfMemory, Some(2)),
            "native, 24 of 24 controls verified · killed: out of memory (512 MiB): raise with --memory"
        );
    }

    #[test]
    fn an_incomplete_record_tells_both_exit_codes() {
        let mut outcome = outcome(Exit::Code(0), None);
        (outcome.code, outcome.recorded) = (125, false);
        assert_eq!(
            unrecorded_line(&outcome, "state: cannot write /state/a: no space"),
            "the record of this run is incomplete, so the exit code is 125; the command itself: exit 0\n  \
             state: cannot write /state/a: no space"
        );
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(
            exit_clause(&Exit::Signal(11), &Limits::default()),
            "ended by signal 11 (SIGSEGV)"
        );
        assert_eq!(
            exit_clause(&Exit::Signal(31), &Limits::default()),
            "ended by signal 31 (SIGSYS)"
        );
        assert_eq!(
            exit_clause(&Exit::Signal(40), &Limits::default()),
            "ended by signal 40"
        );
    }

    #[test]
    fn a_shortfall_says_why_and_what_to_do() {
        let planned = Planned {
            demand: Demand {
                control: Control::Memory(ByteCount(1 << 30)),
                need: Need::Prefer,
                origin: Origin::Default,
            },
            support: Support::absent("no cgroup can be written", "run it under systemd"),
        };
        assert_eq!(
            shortfall_line(&planned).as_deref(),
            Some(
                "note: memory 1 GiB is not enforced here: no cgroup can be written; fix: run it under systemd"
            )
        );
        let enforced = Planned {
            demand: Demand {
                control: Control::Wall(ControlKind::NetworkNone),
                ..planned.demand
            },
            support: Support::host_kernel("a network namespace"),
        };
        assert_eq!(shortfall_line(&enforced), None);
    }
}
