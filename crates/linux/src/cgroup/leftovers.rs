//! Finding our groups again without any record of them.

use super::OURS;
use super::controller::Controller;
use super::files::Dir;
use super::layout::{self, Hierarchy, Mount};
use super::record::{GroupRecord, Kind, SeatRecord, check_id};
use super::survey::CgroupSurvey;

/// Directories looked at in one hierarchy: a busy host has some thousands.
const MAX_DIRECTORIES: usize = 50_000;

/// All groups of ours in the hierarchies that this host uses, live or not, of any id. Ours are
/// those below a `stockade` that belongs to this user. Which of them nobody needs any more
/// only their supervisors' records tell; [`super::Group::populated`] tells which are in use.
///
/// Groups may lie anywhere, because on v1 each is made below the group of the process that made
/// it, so the whole visible tree is searched: some microseconds a directory. Not for the start
/// of a run. What cannot be read is passed over: it is not ours.
#[must_use]
pub fn leftovers(survey: &CgroupSurvey) -> Vec<GroupRecord> {
    let us = rustix::process::geteuid().as_raw();
    let mut found: Vec<GroupRecord> = Vec::new();
    let limiting = survey.layout.hierarchies.iter().cloned();
    for hierarchy in limiting.chain(freezer()) {
        let Some(mount) = &hierarchy.mount else { continue };
        for (base_cgroup, dir) in bases(mount, us) {
            for id in dir.groups().unwrap_or_default() {
                if check_id(&id).is_ok() {
                    add(&mut found, &id, seat(&hierarchy, mount, &base_cgroup));
                }
            }
        }
    }
    found
}

/// The freezer's hierarchy of v1, which no limit needs and the survey therefore passes over.
fn freezer() -> Option<Hierarchy> {
    let read = |path| std::fs::read_to_string(path).ok();
    layout::freezer(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?).ok()?
}

fn add(found: &mut Vec<GroupRecord>, id: &str, seat: SeatRecord) {
    match found.iter_mut().find(|record| record.id == id) {
        Some(record) => record.seats.push(seat),
        None => {
            let mut record = GroupRecord::new(id);
            record.seats.push(seat);
            found.push(record);
        }
    }
}

fn seat(hierarchy: &Hierarchy, mount: &Mount, base_cgroup: &str) -> SeatRecord {
    let controllers = match hierarchy.kind {
        Kind::V1 => hierarchy.controllers.clone(),
        Kind::V2 => Controller::LIMITING.to_vec(),
    };
    let base = mount
        .directory(base_cgroup)
        .unwrap_or_else(|| mount.point.clone());
    SeatRecord {
        kind: hierarchy.kind,
        controllers,
        base,
        base_cgroup: base_cgroup.to_owned(),
    }
}

/// The `stockade` directories of this user, each with the group it is in.
fn bases(mount: &Mount, us: u32) -> Vec<(String, Dir)> {
    let mut found = Vec::new();
    let mut to_do = vec![mount.root.clone()];
    let mut seen = 0;
    while let Some(cgroup) = to_do.pop() {
        let Some(dir) = mount.directory(&cgroup).and_then(|path| Dir::open(&path).ok()) else {
            continue;
        };
        for name in dir.groups().unwrap_or_default() {
            seen += 1;
            if seen > MAX_DIRECTORIES {
                return found;
            }
            let of_us = |child: &Dir| child.owner().is_ok_and(|owner| owner == us);
            match (name == OURS).then(|| dir.child(&name)) {
                Some(Ok(child)) if of_us(&child) => found.push((cgroup.clone(), child)),
                _ => to_do.push(format!("{}/{name}", cgroup.trim_end_matches('/'))),
            }
        }
    }
    found
}
