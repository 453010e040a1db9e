//! User and group ids: who a workload is inside, who that is on the host, and how files
//! of the host look to it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::child::sys::{Cloned, clone_holder};
use crate::sys::{self, MOUNT_ATTR_IDMAP, MountAttr};

/// First host id of the range that sandboxes started by root use. Container managers use
/// ids below (systemd: 0x00080000 to 0x6FFFFFFF); from 0x80000000 on, ids are negative in
/// 32-bit programs.
pub const FIRST_HOST_ID: u32 = 0x7000_0000;
/// Ids a sandbox has.
pub const RANGE: u32 = 65_536;
/// Sandboxes that can have a range at the same time.
pub const SLOTS: u32 = 4_095;
/// Id of the workload when the workspace's owner is root: never root inside.
pub const ORDINARY_ID: u32 = 1_000;

/// One line of a `uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First id inside (or on disk, for an id-mapped mount).
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Maps of a user namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// User ids.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
    /// Written with the right to map any id; otherwise only the own one can be mapped.
    pub privileged: bool,
}

/// Who the workload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups can be dropped (only with privilege: user_namespaces(7)).
    pub drop_groups: bool,
    /// The map of the sandbox's user namespace.
    pub map: IdMap,
}

impl Identity {
    /// Without privilege: the same ids inside and outside, but never root inside.
    #[must_use]
    pub fn own(uid: u32, gid: u32) -> Self {
        let one = |id| {
            vec![Extent {
                inside: ordinary(id),
                outside: id,
                count: 1,
            }]
        };
        let map = IdMap {
            uids: one(uid),
            gids: one(gid),
            privileged: false,
        };
        Self {
            uid: ordinary(uid),
            gid: ordinary(gid),
            drop_groups: false,
            map,
        }
    }

    /// Started by root: the range of a slot; the workload takes the workspace owner's
    /// number, or an ordinary one where that is root.
    #[must_use]
    pub fn slot(slot: u32, owner_uid: u32, owner_gid: u32) -> Self {
        let base = first_of_slot(slot);
        let range = || {
            vec![Extent {
                inside: 0,
                outside: base,
                count: RANGE,
            }]
        };
        Self {
            uid: in_range(owner_uid),
            gid: in_range(owner_gid),
            drop_groups: true,
            map: IdMap {
                uids: range(),
                gids: range(),
                privileged: true,
            },
        }
    }

    /// The map for a mount of host files: shifts every id into the sandbox's range, and
    /// exchanges the owner's with the workload's, so that the workload owns what the
    /// owner owns. `None` without privilege: ids are the same on both sides.
    #[must_use]
    pub fn mount_map(&self, owner_uid: u32, owner_gid: u32) -> Option<IdMap> {
        if !self.map.privileged {
            return None;
        }
        let shift = |extents: &[Extent], owner: u32, workload: u32| {
            let base = extents.first().map_or(0, |extent| extent.outside);
            exchange(base, owner, workload)
        };
        Some(IdMap {
            uids: shift(&self.map.uids, owner_uid, self.uid),
            gids: shift(&self.map.gids, owner_gid, self.gid),
            privileged: true,
        })
    }

    /// The host's number of an id inside; `None` if it is not mapped.
    #[must_use]
    pub fn host_uid(&self) -> Option<u32> {
        IdMap::translate(&self.map.uids, self.uid)
    }

    /// The host's number of the workload's group.
    #[must_use]
    pub fn host_gid(&self) -> Option<u32> {
        IdMap::translate(&self.map.gids, self.gid)
    }
}

/// First host id of a slot's range.
#[must_use]
pub fn first_of_slot(slot: u32) -> u32 {
    FIRST_HOST_ID + (slot % SLOTS) * RANGE
}

/// The slot whose range holds an id of the host; none if it is in no slot.
#[must_use]
pub fn slot_of(host_id: u32) -> Option<u32> {
    let slot = host_id.checked_sub(FIRST_HOST_ID)? / RANGE;
    (slot < SLOTS).then_some(slot)
}

fn ordinary(id: u32) -> u32 {
    if id == 0 { ORDINARY_ID } else { id }
}

fn in_range(id: u32) -> u32 {
    if id < RANGE { ordinary(id) } else { ORDINARY_ID }
}

/// Maps `0..RANGE` to `base..`, with `a` and `b` exchanged; ids at or above the range can
/// only be `a`.
fn exchange(base: u32, a: u32, b: u32) -> Vec<Extent> {
    if a == b {
        return vec![Extent {
            inside: 0,
            outside: base,
            count: RANGE,
        }];
    }
    let mut points = [a, b];
    points.sort_unstable();
    let mut extents = Vec::new();
    let mut next = 0;
    for point in points {
        let other = if point == a { b } else { a };
        if point > next && next < RANGE {
            extents.push(Extent {
                inside: next,
                outside: base + next,
                count: point.min(RANGE) - next,
            });
        }
        if other < RANGE {
            extents.push(Extent {
                inside: point,
                outside: base + other,
                count: 1,
            });
        }
        next = point.saturating_add(1);
    }
    if next < RANGE {
        extents.push(Extent {
            inside: next,
            outside: base + next,
            count: RANGE - next,
        });
    }
    extents
}

impl IdMap {
    pub(crate) fn text(extents: &[Extent]) -> String {
        extents
            .iter()
            .map(|extent| format!("{} {} {}\n", extent.inside, extent.outside, extent.count))
            .collect()
    }

    fn translate(extents: &[Extent], id: u32) -> Option<u32> {
        extents
            .iter()
            .find(|extent| id >= extent.inside && id - extent.inside < extent.count)
            .map(|extent| extent.outside + (id - extent.inside))
    }

    /// Makes a user namespace with these maps.
    ///
    /// # Errors
    /// The operating system's, with the file or call that failed.
    pub fn namespace(&self) -> io::Result<MapNamespace> {
        let (hold, release) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let holder = Holder(clone_holder(hold.as_raw_fd(), release.as_raw_fd())?);
        let pid = holder.0.pid;
        self.write(pid)
            .map_err(|(file, error)| io::Error::new(error.kind(), format!("{file}: {error}")))?;
        let descriptor = File::open(format!("/proc/{pid}/ns/user"))?.into();
        // The holder ends by itself as soon as this closes; it is waited for later.
        drop(release);
        Ok(MapNamespace {
            descriptor,
            _holder: holder,
        })
    }
}

/// A user namespace that only says how a mount's ids are mapped.
pub struct MapNamespace {
    descriptor: OwnedFd,
    _holder: Holder,
}

/// The process that a user namespace needs to be born with.
struct Holder(Cloned);

/// Ends and reaps it, before the memory that it uses is freed.
impl Drop for Holder {
    fn drop(&mut self) {
        use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
        let _ = pidfd_send_signal(&self.0.pidfd, Signal::KILL);
        while matches!(
            waitid(WaitId::PidFd(self.0.pidfd.as_fd()), WaitIdOptions::EXITED),
            Err(Errno::INTR)
        ) {}
    }
}

/// Applies the maps of a user namespace to a detached mount and those below it.
///
/// # Errors
/// `EINVAL` where the file system cannot be id-mapped (Linux 5.12; network file systems).
pub fn apply(mount: &OwnedFd, recursive: bool, namespace: &MapNamespace) -> io::Result<()> {
    let descriptor = u64::try_from(namespace.descriptor.as_raw_fd()).map_err(io::Error::other)?;
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        userns_fd: descriptor,
        ..MountAttr::default()
    };
    sys::mount_setattr(mount.as_fd(), recursive, &attr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(map: &[Extent]) -> Vec<u32> {
        [0, 1, 999, 1_000, 1_001, 65_535]
            .into_iter()
            .filter_map(|id| IdMap::translate(map, id))
            .collect()
    }

    #[test]
    fn root_owned_files_belong_to_the_workload() {
        let identity = Identity::slot(0, 0, 0);
        let map = identity.mount_map(0, 0).expect("privileged");
        assert_eq!(IdMap::translate(&map.uids, 0), identity.host_uid());
        assert_eq!(IdMap::translate(&map.uids, 1_000), Some(FIRST_HOST_ID));
    }

    #[test]
    fn the_exchange_is_a_bijection() {
        let mut seen = images(&exchange(FIRST_HOST_ID, 0, 1_000));
        seen.sort_unstable();
        assert_eq!(
            seen,
            [0, 1, 999, 1_000, 1_001, 65_535].map(|id| FIRST_HOST_ID + id)
        );
    }

    #[test]
    fn an_owner_beyond_the_range_still_maps_to_the_workload() {
        let identity = Identity::slot(3, 100_000, 100_000);
        assert_eq!(identity.uid, ORDINARY_ID);
        let map = identity.mount_map(100_000, 100_000).expect("privileged");
        assert_eq!(IdMap::translate(&map.uids, 100_000), identity.host_uid());
    }

    #[test]
    fn an_ordinary_owner_keeps_its_number() {
        let identity = Identity::slot(7, 1_234, 1_234);
        assert_eq!(identity.uid, 1_234);
        assert_eq!(
            identity.mount_map(1_234, 1_234).map(|map| map.uids.len()),
            Some(1)
        );
    }
}
