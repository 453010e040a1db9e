//! The host's network, and what a launcher leaves lying about.

use std::path::Path;

use stockade_domain::ControlKind;

use crate::canary::{FileCanary, LauncherSecret, SocketCanary};
use crate::denial::Denial;
use crate::finished::finish;
use crate::ground::PAYLOAD_INSIDE;
use crate::{Field, Probe, Severity, Verdict, ensure, ensure_sound};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "NW01",
        Severity::High,
        "a port on the host's loopback",
        Denial::new("NW01", SocketCanary::loopback),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "NW02",
        Severity::High,
        "the same port by other names, protocols and calls",
        Denial::new("NW02", SocketCanary::loopback),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "NW03",
        Severity::Critical,
        "a port on the host's own address",
        Denial::new("NW03", SocketCanary::host_address),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "NW04",
        Severity::Critical,
        "a datagram to the host",
        Denial::new("NW04", SocketCanary::udp),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "NW11",
        Severity::Medium,
        "interfaces, routes and listeners of the host",
        Denial::new("NW11", SocketCanary::loopback_by_name),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "SD01",
        Severity::Critical,
        "open files, directories and pipes of the launcher",
        Denial::new("SD01", LauncherSecret::descriptor),
    )
    .needs(&[ControlKind::DescriptorsClosed]),
    Probe::question(
        "SD02",
        Severity::High,
        "streams that are files of the host, opened anew",
        reopened_streams,
    )
    .needs(&[ControlKind::DescriptorsClosed]),
    Probe::denial(
        "SD05",
        Severity::Critical,
        "the launcher's environment, everywhere that it could be read",
        Denial::new("SD05", LauncherSecret::variable),
    )
    .needs(&[ControlKind::CleanEnvironment]),
];

/// Standard output goes to a file of the host that holds a secret already.
fn reopened_streams(field: &Field) -> Verdict {
    drop(field.ground.payload());
    for inside in [false, true] {
        let canary = FileCanary::at(field, "outside/log")?;
        let log = canary.path().display().to_string();
        let mut command = field.ground.command(Path::new("/bin/sh"));
        command.args(["-c", r#"exec "$@" <"$0" >>"$0" 2>>"$0""#, &log]);
        if inside {
            command.arg(field.wall.program()).args(["run", "-q"]);
            command.args(field.wall.flags()).arg("--");
        }
        command.args([PAYLOAD_INSIDE, "SD02"]);
        finish(command, Vec::new(), None)?.expect(0)?;
        let text = std::fs::read_to_string(&log)?;
        let kept = text.starts_with(canary.token());
        if inside {
            ensure_sound!(text.contains("DONE"), "it did not run to its end: {text}");
            ensure!(kept && !text.contains("REACHED"), "the file now holds {text}");
        } else {
            ensure_sound!(!kept, "the control changed nothing: {text}");
        }
    }
    Ok(())
}
