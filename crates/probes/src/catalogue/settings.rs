//! Settings of the kernel, the machine and control groups.

use stockade_domain::ControlKind;

use super::privileges::{NO_NAMESPACES, OWN_NAMESPACES};
use crate::canary::Proof;
use crate::denial::Denial;
use crate::{Probe, Severity};

const ROOT: &str = "it needs root";
const RESOURCES: &str = "it needs root with CAP_SYS_RESOURCE";
/// Root of a network of its own.
const OWN_NETWORK: &[&str] = &["unshare", "--user", "--map-root-user", "--net"];

pub const ALL: &[Probe] = &[
    Probe::denial(
        "KN01",
        Severity::Critical,
        "kernel settings, to write",
        Denial::new("KN", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN02",
        Severity::Critical,
        "a procfs, sysfs and control groups mounted anew",
        Denial::new("KN02", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "KN03",
        Severity::Critical,
        "switches that stop or suspend the machine",
        Denial::new("KN03", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN04",
        Severity::High,
        "every setting of memory, files and the kernel",
        Denial::new("KN04", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN05",
        Severity::Critical,
        "parameters of modules, and drivers of hardware",
        Denial::new("KN05", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN06",
        Severity::Critical,
        "cgroup files, to write",
        Denial::new("KN06", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN07",
        Severity::High,
        "raising the own limits: of the process, and by control groups",
        Denial::new("KN07", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "KN08",
        Severity::High,
        "every setting of the network",
        Denial::new("KN08", Proof::plant)
            .wrapped(OWN_NETWORK)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "KN09",
        Severity::Medium,
        "being killed last when memory runs out",
        Denial::new("KN09", Proof::plant).control_if(RESOURCES),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "KN10",
        Severity::High,
        "what the firmware tells: tables, variables, the memory map",
        Denial::new("KN10", Proof::plant).control_if("this machine shows none"),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
];
