//! Processes of the host.

use stockade_domain::ControlKind;

use crate::canary::{Proof, Seen, Victim};
use crate::denial::{DONE, Denial, arguments};
use crate::{Field, Probe, Setting, Severity, Stop, Verdict, ensure, ensure_sound, fail};

/// Stands between the control and whoever takes in its orphans.
const ANOTHER_PARENT: &[&str] = &["sh", "-c", "\"$0\" \"$@\"; exit $?"];
/// What an attack finds at least of a process that does not protect itself.
const HOLES: usize = 5;

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
    Probe::question(
        "PR09",
        Severity::High,
        "the guest, by everything that one process can do to another of its user",
        guest,
    )
    .needs(&[ControlKind::GuestProtected]),
    Probe::denial(
        "PR10",
        Severity::Medium,
        "leaving the sandbox's tree of processes: an orphan whose parents have ended",
        Denial::new("PR10", Proof::plant).wrapped(ANOTHER_PARENT),
    )
    .needs(&[ControlKind::DiesWithSupervisor]),
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

/// Passes if the attack shows what it can do to a process that does not protect itself.
///
/// # Errors
/// It does not: then nothing is shown by a guest that withstands it.
pub fn guest_control(field: &Field) -> Verdict {
    let mut victim = Victim::plant(field)?;
    let outside = field
        .ground
        .outside(&[], &[], &arguments("PR09", victim.outside()))?;
    let text = outside.text();
    let found = text.lines().filter(|line| line.starts_with("REACHED")).count();
    ensure_sound!(
        found >= HOLES,
        "the control found only {found} holes: {}",
        outside.all()
    );
    ensure_sound!(
        victim.reached(&Seen { output: text }).is_some(),
        "the control's victim lives on"
    );
    Ok(())
}

/// The guest must withstand it, and serve on.
fn guest(field: &Field) -> Verdict {
    guest_control(field)?;
    let attack = |name: &str| field.wall.attack(&Setting::default(), &[name.to_owned()]);
    attack("ids")?.expect(0)?;
    let inside = match attack("PR09-guest") {
        Ok(inside) => inside,
        // It is among the signals that it gets.
        Err(Stop::Broken(why)) => return fail(format!("the sandbox did not survive it: {why}")),
        Err(other) => return Err(other),
    };
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    ensure!(
        inside.text().contains(DONE),
        "it did not survive: {}",
        inside.all()
    );
    attack("ids")?.expect(0).map(drop)
}
