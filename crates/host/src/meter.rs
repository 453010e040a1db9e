//! What a sandbox uses, read by others than its supervisor, who is not even woken.

use std::path::PathBuf;

use serde::Deserialize;
use stockade_domain::Usage;
use stockade_linux::cgroup::{Budget, Group, GroupRecord};

pub use stockade_linux::cgroup::BudgetUse;

use crate::shim::disk::DiskWatch;
use crate::state::{StateDirs, Status};

/// The parts of a record that sandboxes on this host's kernel have.
#[derive(Deserialize)]
struct Local {
    pid: Option<i32>,
    cgroup: Option<GroupRecord>,
}

/// Bytes over all network devices but the loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Figures that this host does not have are missing.
    pub usage: Usage,
    /// The disk figure is of a whole look, not of a part.
    pub disk_is_whole: bool,
    /// None where it cannot be read.
    pub traffic: Option<Traffic>,
}

/// Reads what one sandbox uses.
pub struct Meter {
    group: Option<Group>,
    pid: Option<i32>,
    disk: Option<DiskWatch>,
    disk_bytes: Option<(u64, bool)>,
}

impl Meter {
    /// For a sandbox that runs. What cannot be found is not measured.
    #[must_use]
    pub fn new(dirs: &StateDirs, status: &Status) -> Self {
        let local = status
            .record
            .as_ref()
            .and_then(|record| Local::deserialize(&record.body).ok());
        let (pid, cgroup) = local.map_or((None, None), |local| (local.pid, local.cgroup));
        let changes = |key: &String| -> PathBuf { dirs.path().join("changes").join(key) };
        Self {
            group: cgroup.and_then(|record| Group::adopt(record).ok()),
            pid,
            disk: status
                .change_set
                .as_ref()
                .map(|key| DiskWatch::of_changes(&changes(key))),
            disk_bytes: None,
        }
    }

    /// The limits that it shares with all other sandboxes here, and their use; none where there
    /// are no such limits, or nobody can read them.
    #[must_use]
    pub fn budget(&self) -> Option<BudgetUse> {
        let found = self.group.as_ref()?.budget().ok()?;
        (found.budget != Budget::default()).then_some(found)
    }

    /// Reads; looks at no more than about `names` names of the change set.
    pub fn read(&mut self, names: u32) -> Reading {
        let mut usage = self.group.as_ref().map(Group::usage).unwrap_or_default();
        if let Some(disk) = &mut self.disk {
            let bytes = disk.step(names);
            let is_whole = disk.is_whole();
            // Of a look that is not over, the greater of what is known.
            self.disk_bytes = match self.disk_bytes {
                Some((before, was_whole)) if !is_whole => Some((before.max(bytes), was_whole)),
                _ => Some((bytes, is_whole)),
            };
        }
        usage.disk_bytes = self.disk_bytes.map(|(bytes, _)| bytes);
        Reading {
            usage,
            disk_is_whole: self.disk_bytes.is_none_or(|(_, is_whole)| is_whole),
            traffic: self.pid.and_then(traffic),
        }
    }
}

fn traffic(pid: i32) -> Option<Traffic> {
    Some(parse_traffic(
        &std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?,
    ))
}

/// Two lines of headings, then `name: received-bytes 7 more sent-bytes …`.
fn parse_traffic(text: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for line in text.lines().skip(2) {
        let Some((name, figures)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let mut figures = figures
            .split_ascii_whitespace()
            .map(|figure| figure.parse::<u64>().unwrap_or(0));
        traffic.received = traffic.received.saturating_add(figures.next().unwrap_or(0));
        traffic.sent = traffic.sent.saturating_add(figures.nth(7).unwrap_or(0));
    }
    traffic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_that_of_all_devices_but_the_loopback() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1:3 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n";
        assert_eq!(
            parse_traffic(text),
            Traffic {
                received: 103,
                sent: 24
            }
        );
    }
}
