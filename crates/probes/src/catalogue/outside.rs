//! The host's sockets and network, and what a launcher leaves lying about.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use stockade_domain::ControlKind;

use super::running::stockade;
use crate::canary::{FileCanary, IpcCanary, LauncherSecret, SocketCanary};
use crate::denial::{Denial, arguments};
use crate::finished::finish;
use crate::ground::PAYLOAD_INSIDE;
use crate::{Field, Probe, Setting, Severity, Verdict, ensure, ensure_sound};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "IP01",
        Severity::High,
        "abstract unix sockets of the host",
        Denial::new("IP01", SocketCanary::abstract_names),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Probe::denial(
        "IP04",
        Severity::Critical,
        "unix sockets of engines and agents, by path",
        Denial::new("IP04", SocketCanary::path),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Probe::denial(
        "IP06",
        Severity::Medium,
        "System V and POSIX IPC of the host, by key and name",
        Denial::new("IP06", IpcCanary::plant),
    )
    .needs(&[ControlKind::IpcPrivate]),
    Probe::question(
        "IP07",
        Severity::Critical,
        "the supervisor's own sockets",
        own_sockets,
    )
    .needs(&[ControlKind::LocalSocketsHidden])
    .small(),
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

fn sockets_below(directory: &Path, found: &mut Vec<String>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => sockets_below(&entry.path(), found),
            Ok(kind) if kind.is_socket() => found.push(entry.path().display().to_string()),
            _ => {}
        }
    }
}

/// Every socket that a running sandbox has on the host.
fn own_sockets(field: &Field) -> Verdict {
    // Before the workspace is copied, where it is.
    drop(field.ground.payload());
    let flags = field.wall.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = [
        &["run", "-q", "-d", "--name", "own"],
        &flags[..],
        &["--", "sleep", "50"],
    ]
    .concat();
    stockade(field, &start)?.expect(0)?;
    let tried = try_own_sockets(field);
    let removed = stockade(field, &["rm", "--force", "own"])?.expect(0);
    tried.and(removed.map(drop))
}

fn try_own_sockets(field: &Field) -> Verdict {
    // It is there at the latest when somebody has used it.
    stockade(field, &["exec", "own", "true"])?.expect(0)?;
    let mut paths = Vec::new();
    sockets_below(&field.ground.state(), &mut paths);
    sockets_below(&field.ground.path("run"), &mut paths);
    ensure_sound!(
        !paths.is_empty(),
        "a running sandbox has no socket, so `exec` cannot work"
    );
    let table = std::fs::read_to_string("/proc/net/unix")?;
    let open_to_all = table
        .lines()
        .find(|line| line.contains(" @") && line.contains("stockade"));
    ensure!(
        open_to_all.is_none_or(|line| line.contains("canary")),
        "an abstract name is open to every user: {open_to_all:?}"
    );
    let words = arguments("IP07", paths.clone());
    let control = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(
        control.text().contains("REACHED"),
        "the control did not connect to {paths:?}: {}",
        control.all()
    );
    let another = field.wall.attack(&Setting::default(), &words)?;
    let exec = [
        vec!["exec".to_owned(), "own".into(), PAYLOAD_INSIDE.into()],
        words,
    ]
    .concat();
    let exec: Vec<&str> = exec.iter().map(String::as_str).collect();
    for (who, inside) in [("another sandbox", another), ("its own", stockade(field, &exec)?)] {
        ensure_sound!(inside.text().contains("DONE"), "{who}: {}", inside.all());
        ensure!(!inside.text().contains("REACHED"), "{who}: {}", inside.all());
    }
    Ok(())
}

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
