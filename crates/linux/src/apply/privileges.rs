//! The last steps: the process that built the root gives up every right it had.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{CallResult, InCall};
use crate::ops::{Attestation, Canary, Op, Trees};
use crate::seccomp::substitutes;
use crate::{caps, fds, landlock, seccomp, sys};

use super::canary;

/// What was seen before the walls went up, and which of them did.
#[derive(Default)]
pub(super) struct Confinement {
    seccomp_before: Option<seccomp::Baseline>,
    landlock_before: Option<landlock::Baseline>,
    landlock: Option<landlock::Entered>,
    /// The supervisor could be signalled.
    signals_before: bool,
    canaries: Vec<Canary>,
    seccomp: Option<seccomp::Profile>,
    substitutes_before: Option<substitutes::Baseline>,
    listener: Option<OwnedFd>,
    tells_starts: bool,
}

impl Confinement {
    pub(super) fn step(&mut self, op: &Op, attestation: &mut Attestation) -> CallResult {
        match op {
            Op::Hostname(name) => {
                rustix::system::sethostname(name.as_bytes()).in_call(|| format!("sethostname {name}"))
            }
            Op::LoopbackUp => sys::loopback_up().in_call(|| "ioctl SIOCSIFFLAGS lo"),
            Op::ForbidUserNamespaces => forbid_user_namespaces(attestation),
            Op::Baseline { landlock } => self.baseline(landlock.as_ref()),
            Op::SignalBaseline => {
                sys::signal_parent().in_call(|| "kill the supervisor with signal 0")?;
                self.signals_before = true;
                Ok(())
            }
            Op::Canaries(canaries) => {
                canaries.iter().try_for_each(canary::usable)?;
                self.canaries.clone_from(canaries);
                Ok(())
            }
            Op::BoundCapabilities => caps::bound().in_words(),
            Op::ReleaseCapabilities => caps::release().in_words(),
            Op::Keeper => Self::keeper(attestation),
            Op::NoNewPrivileges => caps::no_new_privs().in_words(),
            Op::DropCapabilities => caps::drop_all().in_words(),
            Op::NotDumpable => not_dumpable(attestation),
            Op::DeathSignal => death_signal(attestation),
            Op::Landlock { list, read, write } => {
                let rules = landlock::Rules {
                    list: list.clone(),
                    read: read.clone(),
                    write: write.clone(),
                };
                self.landlock = Some(landlock::enter(&rules).in_words()?);
                attestation.rules = Trees {
                    list: rules.list,
                    read: rules.read,
                    write: rules.write,
                };
                Ok(())
            }
            Op::Seccomp {
                nested_namespaces,
                substitutes,
                tell_starts,
            } => {
                let profile = seccomp::Profile {
                    nested_namespaces: *nested_namespaces,
                    substitutes: *substitutes,
                    tell_starts: *tell_starts,
                };
                self.substitutes_before = Some(substitutes::before(*substitutes));
                if *tell_starts {
                    self.listener = Some(seccomp::install_telling(&profile).in_words()?);
                    self.tells_starts = true;
                } else {
                    seccomp::install(&profile).in_words()?;
                }
                self.seccomp = Some(profile);
                Ok(())
            }
            Op::SelfTest => self.self_test(attestation),
            _ => Err(Errno::INVAL).in_call(|| "interpret the step"),
        }
    }

    /// Where the supervisor is told of starts. It has to leave this process: whoever holds it
    /// could answer in the supervisor's place.
    pub(super) fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    fn baseline(&mut self, landlock: Option<&PathBuf>) -> CallResult {
        if let Some(canary) = landlock {
            self.landlock_before = Some(landlock::before(canary).in_words()?);
        }
        self.seccomp_before = Some(seccomp::before());
        Ok(())
    }

    /// Each claim needs its control: what is refused now was possible before. It may be made twice:
    /// Landlock's needs sockets, which a filter may refuse.
    fn self_test(&mut self, attestation: &mut Attestation) -> CallResult {
        let base_line = || "find the base line";
        if let Some(entered) = self.landlock.take() {
            let before = self
                .landlock_before
                .take()
                .ok_or(Errno::NODATA)
                .in_call(base_line)?;
            attestation.landlock = landlock::after(&before, &entered).in_words()?;
        }
        self.canaries.iter().try_for_each(canary::refused)?;
        attestation.canaries.append(&mut self.canaries);
        if self.signals_before {
            attestation.signals_kept = sys::signal_parent() == Err(Errno::PERM);
        }
        if let Some(profile) = self.seccomp.take() {
            let before = self
                .seccomp_before
                .as_ref()
                .ok_or(Errno::NODATA)
                .in_call(base_line)?;
            attestation.seccomp = seccomp::after(before).in_words()?;
            let before = self.substitutes_before.take();
            let before = before.ok_or(Errno::NODATA).in_call(base_line)?;
            attestation.substitutes = substitutes::after(&before, profile.nested_namespaces).in_words()?;
        }
        if self.tells_starts {
            attestation.starts = seccomp::test_telling().in_words()?;
        }
        Ok(())
    }

    /// It kills all that it can reach, so it must be known that this is the sandbox alone.
    fn keeper(attestation: &mut Attestation) -> CallResult {
        if !attestation.signals_kept {
            return Err(Errno::NODATA).in_call(|| "start it only where signals are kept inside");
        }
        attestation.keeper = Some(sys::start_keeper().in_call(|| "clone")?);
        Ok(())
    }
}

/// For errors that name their call themselves.
trait InWords<T> {
    fn in_words(self) -> CallResult<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> InWords<T> for Result<T, E> {
    fn in_words(self) -> CallResult<T> {
        self.map_err(|error| (String::new(), io::Error::other(error)))
    }
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
    fds::close_all_but(keep).in_words()
}
