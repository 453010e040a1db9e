//! The host's sockets and network, and what a launcher leaves lying about.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use stockade_conformance::canary::{FileCanary, IpcCanary, LauncherSecret, SocketCanary};
use stockade_conformance::denial::{Denial, arguments};
use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure};

pub const ALL: &[Behaviour] = &[
    Behaviour::denial(
        "IP01",
        "abstract unix sockets of the host",
        Denial::new("IP01", SocketCanary::abstract_names),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Behaviour::denial(
        "IP04",
        "unix sockets of engines and agents, by path",
        Denial::new("IP04", SocketCanary::path),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Behaviour::denial(
        "IP06",
        "System V and POSIX IPC of the host, by key and name",
        Denial::new("IP06", IpcCanary::plant),
    )
    .needs(&[ControlKind::IpcPrivate]),
    Behaviour::test("IP07", "the supervisor's own sockets", own_sockets)
        .needs(&[ControlKind::LocalSocketsHidden])
        .small(),
    Behaviour::denial(
        "NW01",
        "a port on the host's loopback",
        Denial::new("NW01", SocketCanary::loopback),
    )
    .needs(&[ControlKind::NetworkNone]),
    Behaviour::denial(
        "NW02",
        "the same port by other names, protocols and calls",
        Denial::new("NW02", SocketCanary::loopback),
    )
    .needs(&[ControlKind::NetworkNone]),
    Behaviour::denial(
        "NW03",
        "a port on the host's own address",
        Denial::new("NW03", SocketCanary::host_address),
    )
    .needs(&[ControlKind::NetworkNone]),
    Behaviour::denial(
        "NW04",
        "a datagram to the host",
        Denial::new("NW04", SocketCanary::udp),
    )
    .needs(&[ControlKind::NetworkNone]),
    Behaviour::denial(
        "NW11",
        "interfaces, routes and listeners of the host",
        Denial::new("NW11", SocketCanary::loopback_by_name),
    )
    .needs(&[ControlKind::NetworkNone]),
    Behaviour::denial(
        "SD01",
        "open files, directories and pipes of the launcher",
        Denial::new("SD01", LauncherSecret::descriptor),
    )
    .needs(&[ControlKind::DescriptorsClosed]),
    Behaviour::test(
        "SD02",
        "streams that are files of the host, opened anew",
        reopened_streams,
    )
    .needs(&[ControlKind::DescriptorsClosed]),
    Behaviour::denial(
        "SD05",
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
fn own_sockets(world: &World) -> Verdict {
    // Before the workspace is copied, where it is.
    let payload = world.payload_inside();
    let mut running = world
        .sandbox()
        .flags(&["--name", "own"])
        .start_open(&["sleep", "50"])?;
    running.until_started()?;
    // It is there at the latest when somebody has used it.
    world.stockade(&["exec", "own", "true"])?.expect(0)?;
    let mut paths = Vec::new();
    sockets_below(&world.path("state"), &mut paths);
    sockets_below(&world.path("run"), &mut paths);
    ensure!(
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
    let control = world.outside(&[], &[], &words)?;
    ensure!(
        control.text().contains("REACHED"),
        "the control did not connect to {paths:?}: {}",
        control.all()
    );
    let inside = world.sandbox().attack(&words)?;
    ensure!(
        inside.text().contains("DONE") && !inside.text().contains("REACHED"),
        "{}",
        inside.all()
    );
    let exec = [vec!["exec".to_owned(), "own".into(), payload], words].concat();
    let exec: Vec<&str> = exec.iter().map(String::as_str).collect();
    let own = world.stockade(&exec)?;
    ensure!(
        own.text().contains("DONE") && !own.text().contains("REACHED"),
        "its own sandbox: {}",
        own.all()
    );
    Ok(())
}

/// Standard output goes to a file of the host that holds a secret already.
fn reopened_streams(world: &World) -> Verdict {
    use stockade_conformance::run::finish;
    let program = world.suite().program().display().to_string();
    let payload = world.payload_inside();
    for inside in [false, true] {
        let canary = FileCanary::at(world, "outside/log")?;
        let log = canary.path().display().to_string();
        let mut command = world.command(std::path::Path::new("/bin/sh"));
        let start = if inside {
            r#""$1" run -q $RUN_FLAGS -- "$2" SD02 <"$0" >>"$0" 2>>"$0""#
        } else {
            r#""$2" SD02 <"$0" >>"$0" 2>>"$0""#
        };
        command.args(["-c", start, &log, &program, &payload]);
        finish(command, Vec::new(), None)?.expect(0)?;
        let text = std::fs::read_to_string(&log)?;
        let kept = text.starts_with(canary.token());
        ensure!(kept == inside, "inside {inside}: the file now holds {text}");
        if inside {
            ensure!(text.contains("DONE") && !text.contains("REACHED"), "{text}");
        }
    }
    Ok(())
}
