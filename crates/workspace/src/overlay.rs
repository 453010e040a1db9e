//! How overlayfs writes deletions and replaced directories into its upper directory.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, OFlags, Stat};

/// `user.` is used by overlays of a user namespace, `trusted.` by those of real root.
const OPAQUE: [&CStr; 2] = [c"user.overlay.opaque", c"trusted.overlay.opaque"];
const WHITEOUT: [&CStr; 2] = [c"user.overlay.whiteout", c"trusted.overlay.whiteout"];

/// A deletion: a character device 0:0, or an empty regular file with a whiteout attribute.
pub fn is_whiteout(parent: impl AsFd, name: &CStr, stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => stat.st_rdev == 0,
        FileType::RegularFile if stat.st_size == 0 => has_whiteout_attribute(parent, name),
        _ => false,
    }
}

/// A directory that hides all that lay below it.
pub fn is_opaque(directory: impl AsFd) -> bool {
    OPAQUE.iter().any(|attribute| {
        let mut value = [0u8; 4];
        // Any failure means that the attribute is not there or not ours to see; the entries
        // are listed one by one either way.
        matches!(rustix::fs::fgetxattr(directory.as_fd(), *attribute, &mut value), Ok(1..) if value[0] == b'y')
    })
}

fn has_whiteout_attribute(parent: impl AsFd, name: &CStr) -> bool {
    // O_PATH descriptors have no fgetxattr; a plain open of a regular file with O_NONBLOCK
    // cannot block even if it was exchanged for a pipe meanwhile.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let Ok(file) = rustix::fs::openat(parent, name, flags, rustix::fs::Mode::empty()) else {
        return false;
    };
    WHITEOUT
        .iter()
        .any(|attribute| rustix::fs::fgetxattr(&file, *attribute, &mut [0u8; 4]).is_ok())
}

/// The attributes of a name itself, never of what a link points to.
pub fn stat_at(parent: impl AsFd, name: &CStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}
