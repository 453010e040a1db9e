//! The Linux kernel's isolation mechanisms, as Stockade uses them. Synchronous; unsafe code
//! stands only in files named `sys.rs`.

pub mod apply;
pub mod caps;
pub mod cgroup;
mod child;
pub mod compile;
pub mod fds;
pub mod idmap;
pub mod jail;
pub mod landlock;
pub mod ops;
pub mod posture;
pub mod rlimits;
pub mod seccomp;
pub mod spawn;
pub mod sys;
pub mod trial;
