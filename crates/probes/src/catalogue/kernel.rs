//! The kernel's other doors: gates, rings, keys, devices, settings.

use stockade_domain::ControlKind;

use crate::canary::{LauncherSecret, Proof};
use crate::denial::Denial;
use crate::{Field, Probe, Setting, Severity, Verdict, ensure, ensure_sound, skip};

const ROOT: &str = "it needs root";
const SETTING: &str = "the host's own settings refuse it";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "KS02",
        Severity::High,
        "system calls by the gates of 32-bit programs",
        Denial::new("KS02", Proof::with_token).control_if("the kernel has no such gate"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS03",
        Severity::High,
        "io_uring",
        Denial::new("KS03", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS04",
        Severity::High,
        "bpf",
        Denial::new("KS04", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS05",
        Severity::Medium,
        "perf events",
        Denial::new("KS05", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS06",
        Severity::Medium,
        "userfaultfd",
        Denial::new("KS06", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS07",
        Severity::Medium,
        "keys of the launcher's session, and new keys",
        Denial::new("KS07", LauncherSecret::key).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS08",
        Severity::Medium,
        "fanotify",
        Denial::new("KS08", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS11",
        Severity::High,
        "socket families beyond unix, internet and netlink",
        Denial::new("KS11", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS12",
        Severity::Medium,
        "netlink families that speak of the host",
        Denial::new("KS12", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Probe::denial(
        "KS14",
        Severity::Medium,
        "local segments and ports",
        Denial::new("KS14", Proof::plant).control_if("this machine has none"),
    )
    .needs(&[ControlKind::SyscallFilter]),
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
