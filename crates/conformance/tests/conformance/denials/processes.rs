//! Processes of the host.

use stockade_conformance::canary::{Proof, Victim};
use stockade_conformance::denial::Denial;
use stockade_conformance::{Behaviour, ControlKind};

pub const ALL: &[Behaviour] = &[
    Behaviour::denial(
        "PR01",
        "command lines of the host's processes",
        Denial::new("PR01", Victim::plant),
    )
    .needs(&[ControlKind::ProcessesHidden]),
    Behaviour::denial(
        "PR02",
        "finding the host's processes without procfs",
        Denial::new("PR02", Victim::plant),
    )
    .needs(&[ControlKind::ProcessesHidden]),
    Behaviour::denial(
        "PR03",
        "signals to the host's processes, one by one and to all",
        Denial::new("PR03", Victim::plant),
    ),
    Behaviour::denial(
        "PR04",
        "tracing a process of the host",
        Denial::new("PR04", Victim::plant),
    ),
    Behaviour::denial(
        "PR05",
        "reading and writing the memory of a process of the host",
        Denial::new("PR05", Victim::plant),
    ),
    Behaviour::denial(
        "PR06",
        "taking open files of a process of the host",
        Denial::new("PR06", Victim::plant),
    ),
    Behaviour::denial(
        "PR07",
        "environment, memory and maps of a process of the host",
        Denial::new("PR07", Victim::plant),
    ),
    Behaviour::denial(
        "PR08",
        "priority, processors and limits of a process of the host",
        Denial::new("PR08", Victim::plant),
    ),
    Behaviour::denial(
        "PR11",
        "the program files of other processes, to write",
        Denial::new("PR11", Victim::plant),
    ),
    Behaviour::denial(
        "PV12",
        "namespaces of other processes",
        Denial::new("PV12", Proof::plant).control_if("joining a namespace needs root"),
    ),
];
