//! The last steps: the process that built the root gives up every right it had.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{CallResult, InCall};
use crate::compile::LANDLOCK_CANARY;
use crate::ops::{Attestation, Op};
use crate::{caps, fds, landlock, seccomp, sys};

/// What was seen before the walls went up, and which of them did.
#[derive(Default)]
pub(super) struct Confinement {
    seccomp_before: Option<seccomp::Baseline>,
    canary_was_readable: bool,
    landlock: Option<landlock::Entered>,
    seccomp: bool,
}

impl Confinement {
    pub(super) fn step(&mut self, op: &Op, attestation: &mut Attestation) -> CallResult {
        match op {
            Op::Hostname(name) => {
                rustix::system::sethostname(name.as_bytes()).in_call(|| format!("sethostname {name}"))
            }
            Op::LoopbackUp => sys::loopback_up().in_call(|| "ioctl SIOCSIFFLAGS lo"),
            Op::ForbidUserNamespaces => forbid_user_namespaces(attestation),
            Op::Baseline => self.baseline(),
            Op::NoNewPrivileges => caps::no_new_privs().in_call(|| "prctl PR_SET_NO_NEW_PRIVS"),
            Op::DropCapabilities => caps::drop_all().in_call(|| "drop all capabilities"),
            Op::NotDumpable => not_dumpable(attestation),
            Op::DeathSignal => death_signal(attestation),
            Op::Landlock { read, write } => {
                let rules = landlock::Rules {
                    read: read.clone(),
                    write: write.clone(),
                };
                self.landlock = Some(landlock::enter(&rules).in_call(|| "landlock_restrict_self")?);
                Ok(())
            }
            Op::Seccomp { nested_namespaces } => {
                let profile = seccomp::Profile {
                    nested_namespaces: *nested_namespaces,
                };
                seccomp::install(&profile).in_call(|| "install the system call filter")?;
                self.seccomp = true;
                Ok(())
            }
            Op::SelfTest => self.self_test(attestation),
            _ => Err(Errno::INVAL).in_call(|| "interpret the step"),
        }
    }

    fn baseline(&mut self) -> CallResult {
        self.canary_was_readable = read_canary().is_ok();
        self.seccomp_before = Some(seccomp::before());
        Ok(())
    }

    /// Each claim needs its control: what is refused now was possible before.
    fn self_test(&self, attestation: &mut Attestation) -> CallResult {
        if let Some(entered) = &self.landlock {
            let now = read_canary();
            if !self.canary_was_readable || now != Err(Errno::ACCESS) {
                return Err(now.err().unwrap_or(Errno::NOTSUP)).in_call(|| "have Landlock refuse its canary");
            }
            attestation.landlock.push(format!(
                "ABI {}: {LANDLOCK_CANARY} readable before, EACCES after",
                entered.abi
            ));
        }
        if self.seccomp {
            let before = self
                .seccomp_before
                .as_ref()
                .ok_or(Errno::NODATA)
                .in_call(|| "find the base line")?;
            attestation.seccomp =
                seccomp::after(before).in_call(|| "have the system call filter refuse its canaries")?;
        }
        Ok(())
    }
}

fn read_canary() -> Result<(), Errno> {
    rustix::fs::openat(
        CWD,
        LANDLOCK_CANARY,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map(drop)
}

/// One namespace of ours, none below it: also for code that finds a way around the filter.
fn forbid_user_namespaces(attestation: &mut Attestation) -> CallResult {
    const KNOB: &str = "/proc/sys/user/max_user_namespaces";
    let knob = rustix::fs::openat(CWD, KNOB, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .in_call(|| format!("open {KNOB}"))?;
    rustix::io::write(&knob, b"0").in_call(|| format!("write {KNOB}"))?;
    let mut text = [0u8; 24];
    let count = rustix::io::pread(&knob, &mut text, 0).in_call(|| format!("read {KNOB}"))?;
    attestation.max_user_namespaces = text
        .get(..count)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.trim().parse().ok());
    Ok(())
}

fn not_dumpable(attestation: &mut Attestation) -> CallResult {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).in_call(|| "prctl PR_SET_DUMPABLE")?;
    let now = dumpable_behavior().in_call(|| "prctl PR_GET_DUMPABLE")?;
    attestation.dumpable = Some(now != DumpableBehavior::NotDumpable);
    Ok(())
}

/// After the last change of credentials, which would clear it (prctl(2)).
fn death_signal(attestation: &mut Attestation) -> CallResult {
    use rustix::process::{Signal, parent_process_death_signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).in_call(|| "prctl PR_SET_PDEATHSIG")?;
    let now = parent_process_death_signal().in_call(|| "prctl PR_GET_PDEATHSIG")?;
    attestation.death_signal = now.map(Signal::as_raw);
    Ok(())
}

/// Closes every descriptor from 3 on but these, and the standard ones.
pub(super) fn close_all_but(keep: &[i32]) -> CallResult {
    fds::close_all_but(keep).in_call(|| "close_range")
}
