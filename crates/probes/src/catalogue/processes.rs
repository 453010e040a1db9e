//! Processes of the host.

use stockade_domain::ControlKind;

use crate::canary::{Proof, Victim};
use crate::denial::Denial;
use crate::{Probe, Severity};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "PR01",
        Severity::High,
        "command lines of the host's processes",
        Denial::new("PR01", Victim::plant),
    )
    .needs(&[ControlKind::ProcessesHidden]),
    Probe::denial(
        "PR02",
        Severity::High,
        "finding the host's processes without procfs",
        Denial::new("PR02", Victim::plant),
    )
    .needs(&[ControlKind::ProcessesHidden]),
    Probe::denial(
        "PR03",
        Severity::Critical,
        "signals to the host's processes, one by one and to all",
        Denial::new("PR03", Victim::plant),
    ),
    Probe::denial(
        "PR04",
        Severity::Critical,
        "tracing a process of the host",
        Denial::new("PR04", Victim::plant),
    ),
    Probe::denial(
        "PR05",
        Severity::Critical,
        "reading and writing the memory of a process of the host",
        Denial::new("PR05", Victim::plant),
    ),
    Probe::denial(
        "PR06",
        Severity::Critical,
        "taking open files of a process of the host",
        Denial::new("PR06", Victim::plant),
    ),
    Probe::denial(
        "PR07",
        Severity::Critical,
        "environment, memory and maps of a process of the host",
        Denial::new("PR07", Victim::plant),
    ),
    Probe::denial(
        "PR08",
        Severity::Medium,
        "priority, processors and limits of a process of the host",
        Denial::new("PR08", Victim::plant),
    ),
    Probe::denial(
        "PR11",
        Severity::Critical,
        "the program files of other processes, to write",
        Denial::new("PR11", Victim::plant),
    ),
    Probe::denial(
        "PV12",
        Severity::Critical,
        "namespaces of other processes",
        Denial::new("PV12", Proof::plant).control_if("joining a namespace needs root"),
    ),
];
