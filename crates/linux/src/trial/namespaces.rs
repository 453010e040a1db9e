//! Making a namespace of each kind, in a child that ends at once.

use super::{Tried, sys};

/// Every kind, with its flag of clone3(2).
pub const NAMESPACES: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("network", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", libc::CLONE_NEWTIME),
];

/// Tries each kind as a sandbox has it: together with a user namespace of its own. Where
/// AppArmor lets a user namespace be made but without any right in it, the others fail.
#[must_use]
pub fn namespaces() -> Vec<(&'static str, Tried)> {
    NAMESPACES
        .into_iter()
        .map(|(name, flag)| {
            let tried = match sys::clone_and_end(flag | libc::CLONE_NEWUSER) {
                Ok(()) => Tried::Works,
                Err(error) => Tried::refused("clone3", error),
            };
            (name, tried)
        })
        .collect()
}
