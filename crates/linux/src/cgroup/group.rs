//! One sandbox's control group: a directory in each hierarchy, from creation to removal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::io::Errno;
use stockade_domain::ending::Usage;

use super::budget::{self, Budget};
use super::controller::Controller;
use super::files::Dir;
use super::limits::GroupLimits;
use super::record::{GroupRecord, Kind, SeatRecord, check_id};
use super::survey::{CgroupSurvey, Way};
use super::{Error, OURS, Result, layout, v1, v2};

/// How often to make `stockade` again when another supervisor just removed it as empty.
const MAKE_TRIES: u32 = 16;

/// A control group that this process made or adopted. Dropping it leaves the group in place:
/// removing is a step that can fail and must be seen.
#[derive(Debug)]
pub struct Group {
    id: String,
    pub(super) seats: Vec<Seat>,
    notes: Vec<String>,
    /// On v1, once it was frozen.
    pub(super) freezer: OnceLock<Seat>,
}

/// The group's directory in one hierarchy.
#[derive(Debug)]
pub(super) struct Seat {
    pub record: SeatRecord,
    /// None where an adopted group has no directory any more.
    pub dir: Option<Dir>,
}

/// How a new process gets into the group.
#[derive(Debug)]
pub enum JoinMethod<'a> {
    /// clone3 with CLONE_INTO_CGROUP and this directory: it is born inside.
    CloneInto(BorrowedFd<'a>),
    /// The process writes `0` to each of these, while it has a single thread and before it
    /// runs anything foreign. They are close-on-exec.
    WriteTasks(Vec<OwnedFd>),
}

impl Group {
    /// Makes the group with its limits, each read back and compared. Fails, and leaves nothing,
    /// if one of them cannot be had.
    pub fn create(survey: &CgroupSurvey, id: &str, limits: &GroupLimits) -> Result<Self> {
        Self::create_within(survey, id, limits, &Budget::default())
    }

    /// The same, within what all groups of ours may use together.
    pub fn create_within(
        survey: &CgroupSurvey,
        id: &str,
        limits: &GroupLimits,
        budget: &Budget,
    ) -> Result<Self> {
        check_id(id)?;
        limits.check()?;
        budget.check()?;
        survey.must_hold(limits, budget)?;
        let mut group = Self {
            id: id.to_owned(),
            seats: Vec::new(),
            notes: Vec::new(),
            freezer: OnceLock::new(),
        };
        match group.fill(survey, limits, budget) {
            Ok(()) => Ok(group),
            Err(error) => {
                // The first error is the one to tell; what cannot be removed is found by gc.
                let _ = group.remove();
                Err(error)
            }
        }
    }

    fn fill(&mut self, survey: &CgroupSurvey, limits: &GroupLimits, budget: &Budget) -> Result<()> {
        let bases = match &survey.way {
            Way::None => {
                let why = "no control group can be made here".to_owned();
                return Err(Error::Unusable {
                    controller: Controller::Memory,
                    why,
                    fix: None,
                });
            }
            Way::V1(seats) => seats.clone(),
            Way::V2(entry) => vec![v2::enter(entry)?],
        };
        // Memory, processes and processor time are counted also where they are not limited.
        let mut wanted = limits.needs();
        wanted.extend(budget.needs());
        wanted.extend([Controller::Memory, Controller::Pids, Controller::Cpuacct]);
        for base in bases {
            let available = base.controllers.clone();
            let controllers: Vec<_> = available
                .iter()
                .copied()
                .filter(|one| wanted.contains(one))
                .collect();
            if controllers.is_empty() {
                continue;
            }
            let dir = make(&base, &available, &self.id, budget, &mut self.notes)?;
            self.seats.push(Seat {
                record: SeatRecord { controllers, ..base },
                dir: Some(dir),
            });
            let Some(Seat {
                record,
                dir: Some(dir),
            }) = self.seats.last()
            else {
                continue;
            };
            match record.kind {
                Kind::V1 => v1::set(dir, &record.controllers, limits, &mut self.notes)?,
                Kind::V2 => v2::set(dir, limits, &mut self.notes)?,
            }
        }
        Ok(())
    }

    /// Takes up a group again from its record, complete or half removed.
    pub fn adopt(record: GroupRecord) -> Result<Self> {
        record.check()?;
        let mut seats = Vec::with_capacity(record.seats.len());
        for seat in record.seats {
            let dir = match Dir::open(&seat.ours().join(&record.id)) {
                Ok(dir) => Some(dir),
                Err(error) if error.errno() == Some(Errno::NOENT) => None,
                Err(error) => return Err(error),
            };
            seats.push(Seat { record: seat, dir });
        }
        Ok(Self {
            id: record.id,
            seats,
            notes: Vec::new(),
            freezer: OnceLock::new(),
        })
    }

    /// What to keep on disk to find the group again.
    #[must_use]
    pub fn record(&self) -> GroupRecord {
        let mut record = GroupRecord::new(&self.id);
        record.seats = self.all_seats().map(|seat| seat.record.clone()).collect();
        record
    }

    /// The id of the sandbox.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the user should know of how limits are met here, in sentences.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where the group's directories are, for evidence and messages.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.seats
            .iter()
            .map(|seat| seat.record.ours().join(&self.id))
            .collect()
    }

    /// How a new process joins.
    pub fn join(&self) -> Result<JoinMethod<'_>> {
        let mut tasks = Vec::with_capacity(self.seats.len());
        for (record, dir) in self.open_seats() {
            match record.kind {
                Kind::V2 => return Ok(JoinMethod::CloneInto(dir.as_fd())),
                Kind::V1 => tasks.push(dir.open_for_writing(v1::TASKS)?),
            }
        }
        Ok(JoinMethod::WriteTasks(tasks))
    }

    /// The limits as the kernel holds them now. Compare with [`GroupLimits::as_kept`].
    pub fn read_limits(&self) -> Result<GroupLimits> {
        let mut found = GroupLimits::default();
        for (record, dir) in self.open_seats() {
            match record.kind {
                Kind::V1 => v1::read(dir, &record.controllers, &mut found)?,
                Kind::V2 => v2::read(dir, &record.controllers, &mut found)?,
            }
        }
        Ok(found)
    }

    /// Whether a process is in the group in every hierarchy of it, by /proc/PID/cgroup. A group
    /// without directories contains nothing.
    pub fn contains(&self, pid: i32) -> Result<bool> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let cause = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
                return Err(Error::Io {
                    operation: "read",
                    object: path,
                    cause,
                });
            }
        };
        for Seat { record, .. } in &self.seats {
            let inside = layout::is_in(&text, record.kind, &record.controllers, &record.cgroup(&self.id));
            if !inside.map_err(|found| Error::Malformed {
                object: path.clone(),
                found,
            })? {
                return Ok(false);
            }
        }
        Ok(!self.seats.is_empty())
    }

    /// What was used so far; figures that this host does not have are missing.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (record, dir) in self.open_seats() {
            match record.kind {
                Kind::V1 => v1::usage(dir, &record.controllers, &mut usage),
                Kind::V2 => v2::usage(dir, &record.controllers, &mut usage),
            }
        }
        usage
    }

    /// Processes that the kernel killed at the memory limit; readable until [`Self::remove`].
    pub fn oom_kills(&self) -> Result<u64> {
        let of_memory = |(record, _): &(&SeatRecord, &Dir)| record.controllers.contains(&Controller::Memory);
        match self.open_seats().find(of_memory) {
            Some((record, dir)) if record.kind == Kind::V1 => v1::oom_kills(dir),
            Some((_, dir)) => v2::oom_kills(dir),
            None => Err(Error::Unusable {
                controller: Controller::Memory,
                why: "this group has no memory controller, so its kills are not counted".to_owned(),
                fix: None,
            }),
        }
    }

    pub(super) fn all_seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().chain(self.freezer.get())
    }

    /// The directories that exist.
    pub(super) fn open_seats(&self) -> impl Iterator<Item = (&SeatRecord, &Dir)> {
        self.all_seats()
            .filter_map(|seat| Some((&seat.record, seat.dir.as_ref()?)))
    }
}

/// Makes `stockade/<id>` below a base and opens it. `stockade` goes when its last group does,
/// so it may vanish between two steps: then again.
pub(super) fn make(
    base: &SeatRecord,
    available: &[Controller],
    id: &str,
    budget: &Budget,
    notes: &mut Vec<String>,
) -> Result<Dir> {
    let below = Dir::open(&base.base)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let made = ours(&below).and_then(|ours| {
            if base.kind == Kind::V2 {
                v2::hand_on(&ours, available)?;
            }
            // Before the group is there: who finds no room leaves nothing.
            budget::hold(&ours, base.kind, available, budget, notes)?;
            ours.make(id)?;
            ours.child(id)
        });
        match made {
            Err(error) if tries < MAKE_TRIES && vanished(&error) => {}
            Err(error) => {
                // If it was made for this group alone, it is empty and goes again.
                let _ = below.remove(OURS);
                return Err(error);
            }
            made => return made,
        }
    }
}

fn vanished(error: &Error) -> bool {
    matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV))
}

fn ours(below: &Dir) -> Result<Dir> {
    match below.make(OURS) {
        Err(error) if error.errno() != Some(Errno::EXIST) => return Err(error),
        _ => {}
    }
    let ours = below.child(OURS)?;
    let (owner, us) = (ours.owner()?, rustix::process::geteuid().as_raw());
    if owner == us {
        return Ok(ours);
    }
    Err(Error::NotOurs {
        object: ours.path().to_owned(),
        owner,
        us,
    })
}
