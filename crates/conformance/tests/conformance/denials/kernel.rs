//! The kernel's other doors: gates, rings, keys, devices, settings.

use stockade_conformance::canary::{LauncherSecret, Proof};
use stockade_conformance::denial::Denial;
use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure};

const ROOT: &str = "it needs root";
const SETTING: &str = "the host's own settings refuse it";

pub const ALL: &[Behaviour] = &[
    Behaviour::denial(
        "KS02",
        "system calls by the gates of 32-bit programs",
        Denial::new("KS02", Proof::with_token).control_if("the kernel has no such gate"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS03",
        "io_uring",
        Denial::new("KS03", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS04",
        "bpf",
        Denial::new("KS04", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS05",
        "perf events",
        Denial::new("KS05", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS06",
        "userfaultfd",
        Denial::new("KS06", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS07",
        "keys of the launcher's session, and new keys",
        Denial::new("KS07", LauncherSecret::key).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS08",
        "fanotify",
        Denial::new("KS08", Proof::plant).control_if(SETTING),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS11",
        "socket families beyond unix, internet and netlink",
        Denial::new("KS11", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS12",
        "netlink families that speak of the host",
        Denial::new("KS12", Proof::plant).control_if("the kernel has none of them"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "KS14",
        "local segments and ports",
        Denial::new("KS14", Proof::plant).control_if("this machine has none"),
    )
    .needs(&[ControlKind::SyscallFilter]),
    Behaviour::denial(
        "DV01",
        "device nodes of the host",
        Denial::new("DV01", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Behaviour::denial(
        "DV02",
        "new device nodes",
        Denial::new("DV02", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Behaviour::test("DV03", "/dev has only what is harmless", devices).needs(&[ControlKind::DevicesHidden]),
    Behaviour::denial(
        "KN01",
        "kernel settings, to write",
        Denial::new("KN", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Behaviour::denial(
        "KN06",
        "cgroup files, to write",
        Denial::new("KN06", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
];

fn devices(world: &World) -> Verdict {
    const HARMLESS: [&str; 14] = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom",
    ];
    let control = world.outside(&[], &[], &["nodes".into()])?.expect(0)?.text();
    let strangers = |text: &str| -> Vec<String> {
        text.lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .filter(|name| *name != "zero" && !HARMLESS.contains(name))
            .map(str::to_owned)
            .collect()
    };
    let inside = world.sandbox().attack(&["nodes".into()])?.expect(0)?.text();
    ensure!(strangers(&inside).is_empty(), "{:?}", strangers(&inside));
    ensure!(
        inside.contains("null") && inside.contains("urandom"),
        "the harmless ones are missing: {inside}"
    );
    // The control: the same listing outside names more, on any host but one made for this.
    if strangers(&control).is_empty() {
        return stockade_conformance::skip("inconclusive: the host's /dev has nothing else either");
    }
    Ok(())
}
