//! Stopping all processes of a group, and letting them go on. What is stopped cannot notice it.

use std::os::fd::AsFd;
use std::time::Duration;

use super::budget::Budget;
use super::controller::Controller;
use super::files::{Dir, keyed};
use super::group::{Group, Seat, make};
use super::kill::{ignore_missing, processes};
use super::record::{Kind, SeatRecord};
use super::survey::barred;
use super::{Error, Result, layout};
use crate::sys;

/// With this pause two seconds: a process in the kernel's hands stops when it comes back.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(2);
const PROCS: &str = "cgroup.procs";
/// Version 2: what is wanted, and what has come of it.
const FREEZE: &str = "cgroup.freeze";
const EVENTS: &str = "cgroup.events";
/// Version 1: both in one file.
const STATE: &str = "freezer.state";
const FROZEN: &str = "FROZEN";
const THAWED: &str = "THAWED";

/// A process that lets a frozen group go on when this process ends in whatever way, as long as this
/// is not dropped: what was killed while it is frozen does not die on version 1.
#[derive(Debug)]
pub struct Thawer(i32);

impl Drop for Thawer {
    fn drop(&mut self) {
        sys::end_writer(self.0);
    }
}

impl Group {
    /// Has the group go on when this process ends; none where that needs nobody (version 2).
    ///
    /// # Errors
    /// No process can be started.
    pub fn thaw_at_our_end(&self) -> Result<Option<Thawer>> {
        let Some(dir) = self.freezer.get().and_then(|seat| seat.dir.as_ref()) else {
            return Ok(None);
        };
        let file = dir.open_for_writing(STATE)?;
        let failed = Error::io("start a process that thaws", dir.path().join(STATE));
        let started = sys::start_writer(file.as_fd(), THAWED.as_bytes());
        started.map(|process| Some(Thawer(process))).map_err(|error| {
            failed(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL))
        })
    }

    /// Stops all processes: none runs when this returns. On v1 it makes a group in the freezer's
    /// hierarchy, which stays until [`Self::remove`] and is part of the [`Self::record`] then.
    pub fn freeze(&self) -> Result<()> {
        let frozen = match self.unified() {
            Some(dir) => freeze_v2(dir),
            None => self.freeze_v1(),
        };
        if frozen.is_err() {
            // Half of it stopped is worse than nothing; the first error is the one to tell.
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets all processes go on.
    pub fn thaw(&self) -> Result<()> {
        match self.unified() {
            Some(dir) => dir.write(FREEZE, "0"),
            None => self.thaw_v1(),
        }
    }

    /// Lets what was killed die: on v1 it does not while it is stopped. To be called after the kill.
    pub fn let_die(&self) -> Result<()> {
        self.thaw_v1()
    }

    fn unified(&self) -> Option<&Dir> {
        let is_v2 = |(record, _): &(&SeatRecord, &Dir)| record.kind == Kind::V2;
        self.open_seats().find(is_v2).map(|(_, dir)| dir)
    }

    pub(super) fn thaw_v1(&self) -> Result<()> {
        let of_freezer = |record: &SeatRecord| record.controllers.contains(&Controller::Freezer);
        for (_, dir) in self.open_seats().filter(|(record, _)| of_freezer(record)) {
            ignore_missing(dir.write(STATE, THAWED))?;
        }
        Ok(())
    }

    fn freeze_v1(&self) -> Result<()> {
        let Some((_, members)) = self.open_seats().next() else {
            return Err(unavailable(
                "the sandbox is in no control group",
                "run as root, or have a group delegated",
            ));
        };
        let seat = match self.freezer.get() {
            Some(seat) => seat,
            None => {
                let made = self.make_freezer()?;
                self.freezer.get_or_init(|| made)
            }
        };
        let Some(dir) = &seat.dir else { return Ok(()) };
        let base = Dir::open(&seat.record.base)?;
        for _ in 0..TRIES {
            // What is moved has its children born in the freezer's group.
            let moved = gather(members, dir, &base)?;
            if moved == 0 {
                dir.write(STATE, FROZEN)?;
                if dir.read(STATE)?.trim() == FROZEN && gather(members, dir, &base)? == 0 {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
            }
        }
        Err(still_running(dir))
    }

    fn make_freezer(&self) -> Result<Seat> {
        let read = |path: &str| {
            let failed =
                |error: std::io::Error| unavailable(format!("{path} cannot be read: {error}"), "mount /proc");
            std::fs::read_to_string(path).map_err(failed)
        };
        let found = layout::freezer(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
            .map_err(|why| unavailable(why, "report this with /proc/self/cgroup and mountinfo"))?;
        let hierarchy = found.ok_or_else(|| {
            unavailable(
                "this kernel has no freezer",
                "boot a kernel with CONFIG_CGROUP_FREEZER",
            )
        })?;
        let base = hierarchy.own_directory().ok_or_else(|| {
            unavailable(
                "the freezer is not mounted where our group could be seen",
                "mount -t cgroup -o freezer none /sys/fs/cgroup/freezer",
            )
        })?;
        if let Err(errno) = Dir::open(&base)?.writable()
            && let stockade_domain::target::Fact::No { why, fix } = barred(&base, errno)
        {
            return Err(Error::NoFreezer { why, fix });
        }
        let record = SeatRecord {
            kind: Kind::V1,
            controllers: hierarchy.controllers,
            base,
            base_cgroup: hierarchy.own,
        };
        let dir = make(&record, &[], self.id(), &Budget::default(), &mut Vec::new())?;
        Ok(Seat {
            record,
            dir: Some(dir),
        })
    }
}

fn freeze_v2(dir: &Dir) -> Result<()> {
    dir.write(FREEZE, "1").map_err(|error| match error.errno() {
        Some(rustix::io::Errno::NOENT) => unavailable(
            "cgroups cannot be frozen by this kernel",
            "use Linux 5.2 or newer",
        ),
        _ => error,
    })?;
    for _ in 0..TRIES {
        if keyed(&dir.read(EVENTS)?, "frozen") == Some(1) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(still_running(dir))
}

/// Moves those members that are not in the freezer's group yet there; says how many.
fn gather(members: &Dir, freezer: &Dir, base: &Dir) -> Result<usize> {
    let inside = processes(freezer)?;
    let missing: Vec<i32> = processes(members)?
        .into_iter()
        .filter(|process| !inside.contains(process))
        .collect();
    for process in &missing {
        match freezer.write(PROCS, &process.to_string()) {
            Err(error) if error.errno() == Some(rustix::io::Errno::SRCH) => {}
            other => other?,
        }
    }
    if !missing.is_empty() {
        // A number may have become a stranger's between the look and the move.
        let ours = processes(members)?;
        let strangers = processes(freezer)?
            .into_iter()
            .filter(|process| !ours.contains(process));
        for stranger in strangers.filter(|process| missing.contains(process)) {
            // Gone by now, most likely.
            let _ = base.write(PROCS, &stranger.to_string());
        }
    }
    Ok(missing.len())
}

fn unavailable(why: impl Into<String>, fix: &str) -> Error {
    Error::NoFreezer {
        why: why.into(),
        fix: Some(fix.to_owned()),
    }
}

fn still_running(dir: &Dir) -> Error {
    Error::NotFrozen {
        object: dir.path().to_owned(),
    }
}
