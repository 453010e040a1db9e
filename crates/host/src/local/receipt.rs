//! Evidence that is the same for every guest that is a child of ours: what the host reads of
//! its process and cgroups before the first command, and what only the guest could see of itself.

use stockade_domain::units::{ByteCount, CpuMillis};
use stockade_domain::{Control, ControlKind, EvidenceKind, Finding, Receipt};
use stockade_linux::cgroup::{Budget, Group, GroupLimits};
use stockade_linux::ops::Attestation;

use super::evidence::{Seen, Thread};
use super::wall::Observed;

/// What findings are made from.
pub(crate) struct Basis<'a> {
    pub observed: &'a Observed<'a>,
    pub attestation: &'a Attestation,
    pub seen: &'a Seen,
    pub group: Option<&'a Result<GroupSeen, String>>,
}

/// What the cgroup's files say.
pub(crate) struct GroupSeen {
    holds_guest: bool,
    limits: GroupLimits,
    budget: Result<Budget, String>,
}

impl GroupSeen {
    fn read(group: &Group, pid: i32) -> Result<Self, String> {
        let holds_guest = group.contains(pid).map_err(|error| error.to_string())?;
        let limits = group.read_limits().map_err(|error| error.to_string())?;
        // A sandbox without a budget does not depend on what is read there.
        let budget = group
            .budget()
            .map(|found| found.budget)
            .map_err(|error| error.to_string());
        Ok(Self {
            holds_guest,
            limits,
            budget,
        })
    }
}

/// Makes the finding for every control, from what the host reads now; `find` makes those of the walls.
pub(crate) fn gather(
    controls: &[Control],
    observed: &Observed<'_>,
    attestation: &Attestation,
    mut find: impl FnMut(ControlKind, &Basis<'_>) -> Finding,
) -> Receipt {
    let seen = if observed.closed {
        Seen::read_closed(observed.pid, attestation.inventory.as_ref())
    } else {
        Seen::read(observed.pid)
    };
    let group = observed.group.map(|group| GroupSeen::read(group, observed.pid));
    Receipt::gather(controls.iter(), |control| match &seen {
        Ok(seen) => {
            let basis = Basis {
                observed,
                attestation,
                seen,
                group: group.as_ref(),
            };
            match control {
                Control::WallTime(time) => held(format!("a timer of {time} starts with the command")),
                Control::Output(bytes) => held(format!("output is counted up to {bytes}")),
                Control::Memory(_)
                | Control::Pids(_)
                | Control::Cpu(_)
                | Control::BudgetMemory(_)
                | Control::BudgetCpu(_) => basis.limit(control),
                Control::Disk(_) => Finding::Unchecked {
                    why: "disk space is at most watched here".to_owned(),
                },
                Control::Wall(kind) => find(*kind, &basis),
            }
        }
        Err(why) => Finding::Unchecked { why: why.clone() },
    })
}

/// Nothing could show it: a plan never has it.
pub(crate) fn no_evidence(driver: &str, kind: ControlKind) -> Finding {
    Finding::Unchecked {
        why: format!("{driver} has no evidence for {kind}"),
    }
}

/// Verified by what the host read, or the difference.
pub(crate) fn host(holds: bool, expected: &str, seen: impl Into<String>) -> Finding {
    verdict(EvidenceKind::HostRead, holds, expected, seen)
}

/// Verified by what the guest attested before any command.
pub(crate) fn attested(holds: bool, expected: &str, seen: impl Into<String>) -> Finding {
    verdict(EvidenceKind::GuestAttested, holds, expected, seen)
}

pub(crate) fn verdict(kind: EvidenceKind, holds: bool, expected: &str, seen: impl Into<String>) -> Finding {
    if holds {
        Finding::seen(kind, seen)
    } else {
        Finding::Differs {
            expected: expected.to_owned(),
            found: seen.into(),
        }
    }
}

/// All must be verified; the first that is not decides.
pub(crate) fn all(findings: impl IntoIterator<Item = Finding>) -> Finding {
    let mut evidence = Vec::new();
    for finding in findings {
        match finding {
            Finding::Verified(more) => evidence.extend(more),
            other => return other,
        }
    }
    Finding::Verified(evidence)
}

impl Basis<'_> {
    /// The guest tried to start a program, and the supervisor was told of just that.
    pub(crate) fn starts_told(&self) -> Finding {
        let told = self.observed.told_by_guest;
        let expected = "the supervisor is told when the guest tries to start a program";
        let found = format!("told of {told} tries of the guest");
        all([
            host(told == 1, expected, found),
            attested(
                !self.attestation.starts.is_empty(),
                "a try that goes on",
                self.attestation.starts.clone(),
            ),
        ])
    }

    /// No thread has any right, none can come back, and the ids are the sandbox's.
    pub(crate) fn no_rights(&self) -> Finding {
        self.rights(|thread| thread.capabilities_empty)
    }

    /// The same without a word on what executing could give, which no_new_privs keeps away: emptying
    /// that set needs a right.
    pub(crate) fn rights_released(&self) -> Finding {
        self.rights(|thread| thread.capabilities_released)
    }

    fn rights(&self, released: impl Fn(&Thread) -> bool) -> Finding {
        let expected = "no capabilities, no_new_privs and an unprivileged id in every thread";
        let uid = self.observed.identity.host_uid();
        let bad = self.seen.threads.iter().find(|thread| {
            !released(thread) || !thread.no_new_privs || uid != Some(thread.uid) || thread.mixed_or_root
        });
        let groups = self.seen.threads.iter().any(|thread| thread.groups > 0);
        if groups && self.observed.identity.drop_groups {
            return host(false, "no supplementary groups", "supplementary groups are left");
        }
        let found = bad.map_or_else(
            || {
                format!(
                    "{} threads of host id {uid:?} without capabilities",
                    self.seen.threads.len()
                )
            },
            |thread| format!("{thread:?}"),
        );
        host(bad.is_none() && !self.seen.threads.is_empty(), expected, found)
    }

    pub(crate) fn filtered(&self) -> Finding {
        let holds =
            !self.seen.threads.is_empty() && self.seen.threads.iter().all(|thread| thread.seccomp == 2);
        host(
            holds,
            "a seccomp filter in every thread",
            "Seccomp: 2 in every thread",
        )
    }

    pub(crate) fn filter_attested(&self) -> Finding {
        let tests = &self.attestation.seccomp;
        attested(
            !tests.is_empty(),
            "the filter refuses what was possible before",
            list(tests),
        )
    }

    pub(crate) fn environment(&self) -> Finding {
        let found = if self.seen.environment_empty {
            "an empty environment of the guest"
        } else {
            "variables in the guest's environment"
        };
        self.read_or_told(
            self.seen.environment_empty,
            "an empty environment of the guest",
            found,
        )
    }

    pub(crate) fn descriptors(&self) -> Finding {
        let list = &self.seen.descriptors;
        let stranger = list
            .iter()
            .find(|(number, target)| !is_guests_own(*number, target) && !self.is_own_terminal(target));
        let found = stranger.map_or_else(
            || format!("{} descriptors, all of the guest's own", list.len()),
            |(number, target)| format!("{number} -> {target}"),
        );
        self.read_or_told(
            stranger.is_none() && !list.is_empty(),
            "only sockets to the supervisor and the null device",
            found,
        )
    }

    /// The kind of evidence for what only the guest can list where its process is closed.
    fn read_or_told(&self, holds: bool, expected: &str, found: impl Into<String>) -> Finding {
        let kind = if self.seen.told {
            EvidenceKind::GuestAttested
        } else {
            EvidenceKind::HostRead
        };
        verdict(kind, holds, expected, found)
    }

    /// One that the guest has opened for commands, by the number that it has told.
    fn is_own_terminal(&self, target: &str) -> bool {
        let own = &self.attestation.terminals;
        let number = target
            .strip_prefix("/dev/pts/")
            .and_then(|rest| rest.parse().ok());
        !own.is_empty()
            && match number {
                Some(number) => own.contains(&number),
                None => matches!(target, "/dev/ptmx" | "/dev/pts/ptmx"),
            }
    }

    pub(crate) fn terminal(&self) -> Finding {
        let own = self.seen.session == self.observed.pid && self.seen.terminal == 0;
        let found = format!("session {}, terminal {}", self.seen.session, self.seen.terminal);
        host(own, "an own session without a terminal", found)
    }

    pub(crate) fn guest_protected(&self) -> Finding {
        let owner = self.seen.process_owner;
        let host_uid = self.observed.identity.host_uid();
        all([
            host(
                Some(owner) != host_uid,
                "a process that its own id cannot open",
                format!("/proc files owned by {owner}"),
            ),
            attested(
                self.attestation.dumpable == Some(false),
                "not dumpable",
                format!("dumpable: {}", number(self.attestation.dumpable)),
            ),
        ])
    }

    fn limit(&self, control: &Control) -> Finding {
        match self.group {
            None => Finding::Differs {
                expected: format!("a cgroup for {control}"),
                found: "none".to_owned(),
            },
            Some(Err(why)) => Finding::Unchecked { why: why.clone() },
            Some(Ok(group)) => all([
                host(
                    group.holds_guest,
                    "the guest in the sandbox's cgroup",
                    "the guest is in the sandbox's cgroup",
                ),
                group.finding(control),
            ]),
        }
    }
}

impl GroupSeen {
    /// Of the group itself, or of the one around it.
    fn finding(&self, control: &Control) -> Finding {
        let expected = control.to_string();
        match (control, &self.budget) {
            (Control::BudgetMemory(_) | Control::BudgetCpu(_), Err(why)) => {
                Finding::Unchecked { why: why.clone() }
            }
            (Control::BudgetMemory(bytes), Ok(budget)) => {
                let found = budget.memory_bytes.map(ByteCount);
                let holds = found.is_some_and(|found| found <= *bytes);
                host(
                    holds,
                    &expected,
                    format!("memory {} around the sandbox's cgroup", number(found)),
                )
            }
            (Control::BudgetCpu(cpus), Ok(budget)) => {
                let found = budget.cpu_millis.map(CpuMillis);
                let holds = found.is_some_and(|found| found <= *cpus);
                host(
                    holds,
                    &expected,
                    format!("{} around the sandbox's cgroup", number(found)),
                )
            }
            _ => host(
                limit_holds(control, &self.limits),
                &expected,
                format!("{control}, read back"),
            ),
        }
    }
}

/// The kernel rounds memory down to whole pages.
const PAGE_BYTES: u64 = 4096;

fn limit_holds(control: &Control, limits: &GroupLimits) -> bool {
    match control {
        Control::Memory(bytes) => limits
            .memory_bytes
            .is_some_and(|now| now <= bytes.0 && now.saturating_add(PAGE_BYTES) > bytes.0),
        Control::Pids(count) => limits.pids == Some(*count),
        Control::Cpu(limit) => limits.cpu == Some(*limit),
        Control::Wall(_)
        | Control::Disk(_)
        | Control::WallTime(_)
        | Control::Output(_)
        | Control::BudgetMemory(_)
        | Control::BudgetCpu(_) => false,
    }
}

pub(crate) fn number<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn held(seen: String) -> Finding {
    Finding::seen(EvidenceKind::SupervisorHeld, seen)
}

pub(crate) fn list(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join("; ")
    }
}

fn is_guests_own(number: i32, target: &str) -> bool {
    match number {
        0..=2 => target == "/dev/null",
        _ => [
            "socket:[",
            "anon_inode:[eventpoll]",
            "anon_inode:[signalfd]",
            "anon_inode:[timerfd]",
        ]
        .iter()
        .any(|own| target.starts_with(own)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(budget: Result<Budget, String>) -> GroupSeen {
        GroupSeen {
            holds_guest: true,
            limits: GroupLimits::default(),
            budget,
        }
    }

    /// A budget that was left out, or is looser, is a difference; a tighter one keeps the promise.
    #[test]
    fn a_budget_that_does_not_hold_is_noticed() {
        let memory = Control::BudgetMemory(ByteCount(1 << 30));
        let cpu = Control::BudgetCpu(CpuMillis(1000));
        let held = |memory_bytes, cpu_millis| {
            seen(Ok(Budget {
                memory_bytes,
                cpu_millis,
            }))
        };
        for tight in [held(Some(1 << 30), Some(1000)), held(Some(1 << 20), Some(500))] {
            assert!(tight.finding(&memory).is_verified() && tight.finding(&cpu).is_verified());
        }
        for loose in [held(None, None), held(Some(1 << 31), Some(2000))] {
            assert!(matches!(loose.finding(&memory), Finding::Differs { .. }));
            assert!(matches!(loose.finding(&cpu), Finding::Differs { .. }));
        }
        let unread = seen(Err("no".to_owned()));
        assert!(matches!(unread.finding(&memory), Finding::Unchecked { .. }));
        assert!(matches!(unread.finding(&cpu), Finding::Unchecked { .. }));
    }
}
