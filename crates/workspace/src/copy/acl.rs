//! POSIX access control lists. Where a file has one, the bits of its mode for the group are a mask, not what
//! its group may do: a copy without the list would let the group do all that anybody in it could.
//!
//! The rule: a file of the host keeps the host's list when it is changed. A list that was made inside is not
//! taken, because it names ids; its group gets what the list gave it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

pub(crate) const NAME: &str = "system.posix_acl_access";
/// Longest list (the kernel's limit of an attribute).
const MAX_BYTES: usize = 64 << 10;
/// The version of the form (`linux/posix_acl_xattr.h`), and what an entry is about.
const VERSION: u32 = 2;
const GROUP_OF_FILE: u16 = 0x04;
const MASK: u16 = 0x10;
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;

/// The list of a file or directory, if it has one. It need not be open to us, and no link is followed.
pub(crate) fn of(parent: BorrowedFd<'_>, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0; MAX_BYTES];
    match rustix::fs::lgetxattr(path(parent, name)?.as_c_str(), NAME, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP | Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a file a list. Its bits of the mode have to be set afterwards: they change the mask.
pub(crate) fn give(parent: BorrowedFd<'_>, name: &CStr, list: &[u8]) -> Result<(), Errno> {
    rustix::fs::lsetxattr(path(parent, name)?.as_c_str(), NAME, list, XattrFlags::empty())
}

/// There is no call for attributes below a descriptor before Linux 6.13.
fn path(parent: BorrowedFd<'_>, name: &CStr) -> Result<CString, Errno> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend(name.to_bytes());
    CString::new(path).map_err(|_| Errno::INVAL)
}

/// The mode of a file that had this list and has none: no group may more than it could.
pub(crate) fn mode_without(list: &[u8], mode: u32) -> u32 {
    let version = list
        .first_chunk::<HEADER_BYTES>()
        .map(|bytes| u32::from_le_bytes(*bytes));
    let entries = list.get(HEADER_BYTES..).unwrap_or_default().chunks(ENTRY_BYTES);
    let find = |wanted: u16| {
        entries.clone().find_map(|entry| match entry {
            [a, b, c, d, ..] if u16::from_le_bytes([*a, *b]) == wanted => {
                Some(u32::from(u16::from_le_bytes([*c, *d])) & 0o7)
            }
            _ => None,
        })
    };
    // What is not understood gives the group nothing.
    let group = match (version, find(GROUP_OF_FILE)) {
        (Some(VERSION), Some(group)) => group & find(MASK).unwrap_or(0o7),
        _ => 0,
    };
    mode & !0o070 | (mode & (group << 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, rights) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(u32::MAX.to_le_bytes());
        }
        bytes
    }

    /// The control: where the group has all that the mask has, it keeps that.
    #[test]
    fn without_the_list_a_group_gets_no_more_than_it_had() {
        let mode =
            |group, mask| mode_without(&list(&[(1, 6), (2, 7), (4, group), (16, mask), (32, 0)]), 0o660);
        assert_eq!(mode(4, 6), 0o640);
        assert_eq!(mode(6, 6), 0o660);
        assert_eq!(mode(6, 4), 0o640);
        assert_eq!(mode(0, 7), 0o600);
        assert_eq!(mode_without(&list(&[(1, 6), (4, 4), (32, 4)]), 0o644), 0o644);
    }

    #[test]
    fn a_list_that_is_not_understood_gives_a_group_nothing() {
        for bytes in [&b""[..], b"\x02", b"\x03\0\0\0", b"\x02\0\0\0\x04\0"] {
            assert_eq!(mode_without(bytes, 0o664), 0o604, "{bytes:?}");
        }
    }
}
