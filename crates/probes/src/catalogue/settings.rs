//! Settings of the kernel, the machine and control groups.

use stockade_domain::ControlKind;

use crate::canary::Proof;
use crate::denial::Denial;
use crate::{Probe, Severity};

const ROOT: &str = "it needs root";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "KN01",
        Severity::Critical,
        "kernel settings, to write",
        Denial::new("KN", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN06",
        Severity::Critical,
        "cgroup files, to write",
        Denial::new("KN06", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
];
