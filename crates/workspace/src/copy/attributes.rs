//! Whose a copy is, and which extended attributes it has.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Longest list of names and longest value that are copied (the kernel's own limit).
const MAX_BYTES: usize = 64 << 10;

/// Inside, the owner of what belongs to no id of the sandbox (the kernel's overflow id).
pub const NOBODY: u32 = 65_534;

/// Which attributes a copy gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All that can be read and set: for copies that stay ours.
    All,
    /// Those that programs set for themselves (`user.`): for what reaches the host. File
    /// capabilities, security labels and overlay's own marks stay behind.
    Plain,
}

impl Keep {
    fn takes(self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Plain => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
        }
    }
}

/// How owners inside a sandbox that root started become owners on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// First host id of the sandbox's range.
    pub base: u32,
    /// How many ids it has.
    pub count: u32,
    /// The workload's ids inside.
    pub workload: (u32, u32),
    /// The owner of the workspace: who owns what the workload makes.
    pub project: (u32, u32),
}

impl Owners {
    /// The host's owner and group of a file with these ids in a change set. What is not of
    /// the range becomes the project's: no file ever gets an owner that was chosen inside.
    #[must_use]
    pub fn of(&self, uid: u32, gid: u32) -> (u32, u32) {
        (
            self.one(uid, self.workload.0, self.project.0),
            self.one(gid, self.workload.1, self.project.1),
        )
    }

    fn one(&self, id: u32, workload: u32, project: u32) -> u32 {
        let inside = id.checked_sub(self.base).filter(|inside| *inside < self.count);
        // Nobody: whoever owned it outside could not be shown inside.
        let Some(inside) = inside.filter(|inside| *inside != NOBODY) else {
            return project;
        };
        if inside == workload {
            project
        } else if inside == project {
            workload
        } else {
            inside
        }
    }
}

/// Copies attributes from one open file to another. A file system without them has none to
/// give; one that cannot take them makes a difference that nobody asked for, and is an error.
pub(crate) fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, keep: Keep) -> Result<(), Errno> {
    // Most files have none.
    match rustix::fs::flistxattr(from, &mut [0u8; 64][..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(_) | Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut names = vec![0; MAX_BYTES];
    let length = match rustix::fs::flistxattr(from, names.as_mut_slice()) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(length) => length,
        Err(error) => return Err(error),
    };
    let mut value = vec![0; MAX_BYTES];
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || !keep.takes(name) {
            continue;
        }
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        copy_one(from, to, &name, &mut value, keep)?;
    }
    Ok(())
}

/// It is an attribute that programs set for themselves.
pub(crate) fn is_plain(name: &[u8]) -> bool {
    Keep::Plain.takes(name)
}

/// The attributes that programs set for themselves.
///
/// # Errors
/// They cannot be read.
pub(crate) fn plain_attributes(of: BorrowedFd<'_>) -> Result<BTreeMap<CString, Vec<u8>>, Errno> {
    let mut found = BTreeMap::new();
    let mut names = vec![0; MAX_BYTES];
    let length = match rustix::fs::flistxattr(of, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    let names = names[..length].split(|byte| *byte == 0);
    let mut value = Vec::new();
    for name in names.filter(|name| Keep::Plain.takes(name)) {
        value.resize(MAX_BYTES, 0);
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let length = rustix::fs::fgetxattr(of, &name, value.as_mut_slice())?;
        found.insert(name, value[..length].to_vec());
    }
    Ok(found)
}

fn copy_one(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    value: &mut [u8],
    keep: Keep,
) -> Result<(), Errno> {
    let length = match rustix::fs::fgetxattr(from, name, &mut *value) {
        Ok(length) => length,
        Err(Errno::NODATA) => return Ok(()),
        Err(error) => return Err(error),
    };
    match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
        // Labels and trusted attributes need rights that an ordinary user lacks; the system
        // sets its own.
        Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP)
            if keep == Keep::All && !name.to_bytes().starts_with(b"user.") =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNERS: Owners = Owners {
        base: 0x7000_0000,
        count: 65_536,
        workload: (1000, 1000),
        project: (0, 0),
    };

    #[test]
    fn what_the_workload_made_is_the_projects() {
        assert_eq!(OWNERS.of(0x7000_0000 + 1000, 0x7000_0000 + 1000), (0, 0));
    }

    #[test]
    fn ids_outside_the_range_become_the_projects() {
        assert_eq!(OWNERS.of(0, 0x7000_0000 + 65_536), (0, 0));
        let alice = Owners {
            project: (1000, 100),
            workload: (1000, 100),
            ..OWNERS
        };
        assert_eq!(alice.of(0, 0), (1000, 100));
    }

    #[test]
    fn other_owners_in_the_project_stay() {
        assert_eq!(OWNERS.of(0x7000_0000 + 33, 0x7000_0000 + 33), (33, 33));
    }

    #[test]
    fn capabilities_and_the_overlays_marks_stay_behind() {
        assert!(Keep::Plain.takes(b"user.mine"));
        assert!(!Keep::Plain.takes(b"user.overlay.opaque"));
        assert!(!Keep::Plain.takes(b"security.capability"));
        assert!(Keep::All.takes(b"security.capability"));
    }
}
