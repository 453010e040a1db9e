//! The kernel mechanisms on the kernel of this machine.

mod cgroup;
