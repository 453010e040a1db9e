//! Device nodes, and what is mounted.

use stockade_domain::ControlKind;

use crate::canary::Proof;
use crate::denial::Denial;
use crate::{Field, Probe, Setting, Severity, Verdict, ensure, ensure_sound, skip};

const ROOT: &str = "it needs root";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "DV01",
        Severity::Critical,
        "device nodes of the host",
        Denial::new("DV01", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::denial(
        "DV02",
        Severity::Critical,
        "new device nodes",
        Denial::new("DV02", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::question(
        "DV03",
        Severity::Medium,
        "/dev has only what is harmless",
        devices,
    )
    .needs(&[ControlKind::DevicesHidden]),
];

fn devices(field: &Field) -> Verdict {
    const HARMLESS: [&str; 14] = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom",
    ];
    let control = field
        .ground
        .outside(&[], &[], &["nodes".into()])?
        .expect(0)?
        .text();
    let strangers = |text: &str| -> Vec<String> {
        text.lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .filter(|name| *name != "zero" && !HARMLESS.contains(name))
            .map(str::to_owned)
            .collect()
    };
    let inside = field
        .wall
        .attack(&Setting::default(), &["nodes".into()])?
        .expect(0)?
        .text();
    ensure!(strangers(&inside).is_empty(), "{:?}", strangers(&inside));
    ensure_sound!(
        inside.contains("null") && inside.contains("urandom"),
        "the harmless ones are missing: {inside}"
    );
    // The control: the same listing outside names more, on any host but one made for this.
    if strangers(&control).is_empty() {
        return skip("inconclusive: the host's /dev has nothing else either");
    }
    Ok(())
}
