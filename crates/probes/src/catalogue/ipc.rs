//! Services of the host, and what passes between sandboxes.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
use stockade_domain::ControlKind;

use super::running::{Running, beside, until_there};
use crate::canary::{FileCanary, IpcCanary, Kind, Services, SocketCanary, token};
use crate::denial::{DONE, Denial, arguments};
use crate::ground::PAYLOAD_INSIDE;
use crate::{Field, Probe, Setting, Severity, Verdict, broken, ensure, ensure_sound, host};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "IP01",
        Severity::High,
        "abstract unix sockets of the host",
        Denial::new("IP01", SocketCanary::abstract_names),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Probe::question(
        "IP02",
        Severity::High,
        "displays and sound: X, Wayland, PulseAudio, PipeWire",
        |field| services(field, &DESKTOP, &[]),
    )
    .needs(&SERVICES),
    Probe::question(
        "IP03",
        Severity::Critical,
        "the buses of system and session, systemd, polkit",
        |field| services(field, &BUSES, &REAL_BUSES),
    )
    .needs(&SERVICES),
    Probe::denial(
        "IP04",
        Severity::Critical,
        "unix sockets of engines and agents, by path",
        Denial::new("IP04", SocketCanary::path),
    )
    .needs(&[ControlKind::LocalSocketsHidden]),
    Probe::question(
        "IP05",
        Severity::Critical,
        "agents that hold keys: ssh, gpg, keyrings",
        |field| services(field, &AGENTS, &[]),
    )
    .needs(&SERVICES),
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
    Probe::question(
        "IP08",
        Severity::Medium,
        "notes for another sandbox, in every place that programs share",
        notes,
    )
    .needs(&[ControlKind::IpcPrivate, ControlKind::FilesUnreadable]),
    Probe::question(
        "IP08-locks",
        Severity::Medium,
        "signs to another sandbox by locks on a file that both are shown",
        locks,
    )
    .needs(&[ControlKind::OwnKernel])
    .small(),
    Probe::question(
        "IP09",
        Severity::High,
        "open files handed to the supervisor and the guest",
        handed_over,
    )
    .small(),
    Probe::denial(
        "IP10",
        Severity::High,
        "a port of the host by the addresses of its bridges and gateways",
        Denial::new("IP10", SocketCanary::gateways),
    )
    .needs(&[ControlKind::NetworkNone]),
];

/// What keeps services out: their sockets and ports, and the variables that name them.
const SERVICES: [ControlKind; 3] = [
    ControlKind::LocalSocketsHidden,
    ControlKind::NetworkNone,
    ControlKind::CleanEnvironment,
];

const DESKTOP: Kind = Kind {
    paths: &["wayland-0", "pulse/native", "pipewire-0"],
    abstract_name: Some("/tmp/.X11-unix/X"),
    display: true,
    variables: &[
        "DISPLAY",
        "XAUTHORITY",
        "WAYLAND_DISPLAY",
        "PULSE_SERVER",
        "PIPEWIRE_REMOTE",
    ],
};

const BUSES: Kind = Kind {
    paths: &["dbus/system_bus_socket", "systemd/private", "polkit", "bus"],
    abstract_name: Some("/tmp/dbus-"),
    display: false,
    variables: &[
        "DBUS_SESSION_BUS_ADDRESS",
        "DBUS_SYSTEM_BUS_ADDRESS",
        "NOTIFY_SOCKET",
    ],
};

/// Connecting says nothing to them, and inside there must be nothing to connect to.
const REAL_BUSES: [&str; 5] = [
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/stdout",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/udev/control",
];

const AGENTS: Kind = Kind {
    paths: &[
        "ssh/agent.1",
        "gnupg/S.gpg-agent",
        "gnupg/S.scdaemon",
        "keyring/ssh",
    ],
    abstract_name: None,
    display: false,
    variables: &[
        "SSH_AUTH_SOCK",
        "SSH_AGENT_PID",
        "GPG_AGENT_INFO",
        "GNOME_KEYRING_CONTROL",
        "KRB5CCNAME",
    ],
};

/// Everything of a kind is reached outside, and nothing inside.
fn services(field: &Field, kind: &Kind, real: &[&str]) -> Verdict {
    let planted = Services::plant(field, kind)?;
    let words = arguments("services", planted.arguments());
    let outside = field.ground.outside(&[], &planted.variables(), &words)?;
    let reached = planted.reached(&outside.text());
    ensure_sound!(
        reached.len() == planted.count(),
        "the control reached only {reached:?}: {}",
        outside.all()
    );
    drop(planted);
    let planted = Services::plant(field, kind)?;
    let real = real.iter().map(|path| format!("real:{path}"));
    let words = arguments("services", planted.arguments().into_iter().chain(real).collect());
    let setting = Setting {
        variables: planted.variables(),
        ..Setting::default()
    };
    let inside = field.wall.attack(&setting, &words)?;
    let reached = planted.reached(&inside.text());
    ensure!(reached.is_empty(), "reached: {reached:?}: {}", inside.all());
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    ensure_sound!(inside.text().contains(DONE), "{}", inside.all());
    Ok(())
}

/// A sandbox that is the only one with these flags: drivers may keep others running.
fn alone(who: &str) -> Setting {
    Setting {
        flags: vec!["--env".into(), format!("NOTES_OF={who}")],
        ..Setting::default()
    }
}

/// What one leaves the other must not find.
fn notes(field: &Field) -> Verdict {
    let token = token()?;
    let name = format!("stockade-{}", &token[7..23]);
    let key = u32::from_str_radix(&token[7..14], 16)?.to_string();
    let words = arguments("IP08-note", vec![name, key]);
    let look = || field.ground.outside(&[], &[], &words);
    let found = look().and_then(|first| Ok((first, look()?)));
    let clean: Vec<String> = words.iter().cloned().chain(["clean".to_owned()]).collect();
    let clean = || field.ground.outside(&[], &[], &clean);
    clean()?;
    let (first, second) = found?;
    ensure_sound!(
        !first.text().contains("REACHED") && second.text().contains("REACHED"),
        "the control found no note of its own: {}",
        second.all()
    );
    let held = two_sandboxes(field, &words);
    // Where no wall kept them in, their notes lie on the host.
    clean()?;
    held
}

fn two_sandboxes(field: &Field, words: &[String]) -> Verdict {
    for who in ["one", "another"] {
        let inside = field.wall.attack(&alone(who), words)?;
        ensure_sound!(inside.text().contains(DONE), "{who}: {}", inside.all());
        ensure!(!inside.text().contains("REACHED"), "{who}: {}", inside.all());
    }
    Ok(())
}

/// Says that the lock is held.
const HELD: &str = "held";

/// A file that is only read can still be locked.
fn locks(field: &Field) -> Verdict {
    drop(field.ground.payload());
    let file = FileCanary::at(field, &format!("outside/locked-{}/file", field.ground.number()))?;
    let path = file.path().display().to_string();
    let directory = file.path().parent().unwrap_or(file.path()).display().to_string();
    let words = arguments("IP08-lock", vec![path.clone()]);
    let hold = ["hold", &path, HELD, "50"];
    let mut holder = field.ground.command(field.ground.helper());
    let mut holder = holder.args(hold).spawn()?;
    let said = field.ground.work().join(HELD);
    let control = until_there(&said).and_then(|()| field.ground.outside(&[], &[], &words));
    holder.kill()?;
    holder.wait()?;
    std::fs::remove_file(said)?;
    let control = control?;
    ensure_sound!(
        control.text().contains("REACHED"),
        "the control saw no lock: {}",
        control.all()
    );
    let shown = ["--ro", &directory];
    let command = [&[PAYLOAD_INSIDE][..], &hold].concat();
    let mut setting = alone("another");
    setting.flags.extend(shown.map(str::to_owned));
    let inside = beside(field, "holder", &shown, &command, |sandbox| {
        sandbox.until_written(HELD)?;
        field.wall.attack(&setting, &words)
    })?;
    ensure_sound!(inside.text().contains(DONE), "{}", inside.all());
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    Ok(())
}

/// Passing works, and what a running sandbox's supervisor and guest were handed they have not kept.
fn handed_over(field: &Field) -> Verdict {
    let file = FileCanary::at(
        field,
        &format!("outside/passed-{}/{}", field.ground.number(), token()?),
    )?;
    let path = file.path().display().to_string();
    passing_works(field, &path)?;
    let directory = file.path().parent().unwrap_or(file.path()).display().to_string();
    beside(
        field,
        "receiver",
        &["--ro", &directory],
        &["sleep", "50"],
        |sandbox| hand_over(field, sandbox, &path),
    )
}

/// The control: a receiver of ours gets what it is handed.
fn passing_works(field: &Field, file: &str) -> Verdict {
    let at = field
        .ground
        .path(&format!("run/receiver-{}", field.ground.number()));
    let listener = std::os::unix::net::UnixListener::bind(&at)?;
    listener.set_nonblocking(true)?;
    let words = arguments("IP09", vec![file.to_owned(), at.display().to_string()]);
    let control = field.ground.outside(&[], &[], &words)?;
    let (socket, _) = listener.accept()?;
    let mut space = [std::mem::MaybeUninit::uninit(); 256];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        &socket,
        &mut [std::io::IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    ensure_sound!(
        received.bytes == 1 && ancillary.drain().next().is_some(),
        "the control was handed nothing: {}",
        control.all()
    );
    Ok(())
}

fn sockets_below(directory: &Path, found: &mut Vec<String>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => sockets_below(&entry.path(), found),
            Ok(kind) if kind.is_socket() => found.push(entry.path().display().to_string()),
            _ => {}
        }
    }
}

/// The sockets of a sandbox that somebody has used: by then they are there.
fn sockets_of(field: &Field, sandbox: &Running) -> Verdict<Vec<String>> {
    sandbox.exec(&["true"])?.expect(0)?;
    let told = sandbox.inspect()?;
    let mut found = Vec::new();
    sockets_below(
        Path::new(told["directory"].as_str().unwrap_or_default()),
        &mut found,
    );
    sockets_below(&field.ground.path("run"), &mut found);
    ensure_sound!(
        !found.is_empty(),
        "a running sandbox has no socket, so `exec` cannot work: {told}"
    );
    Ok(found)
}

/// Every socket that a running sandbox has on the host.
fn own_sockets(field: &Field) -> Verdict {
    beside(field, "own", &[], &["sleep", "50"], |sandbox| {
        try_own_sockets(field, sandbox)
    })
}

fn try_own_sockets(field: &Field, sandbox: &Running) -> Verdict {
    let words = arguments("IP07", sockets_of(field, sandbox)?);
    let table = std::fs::read_to_string("/proc/net/unix")?;
    let open_to_all = table
        .lines()
        .find(|line| line.contains(" @") && line.contains("stockade"));
    ensure!(
        open_to_all.is_none_or(|line| line.contains("canary")),
        "an abstract name is open to every user: {open_to_all:?}"
    );
    let control = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(
        control.text().contains("REACHED"),
        "the control did not connect: {}",
        control.all()
    );
    let another = field.wall.attack(&Setting::default(), &words)?;
    let own: Vec<&str> = std::iter::once(PAYLOAD_INSIDE)
        .chain(words.iter().map(String::as_str))
        .collect();
    for (who, inside) in [("another sandbox", another), ("its own", sandbox.exec(&own)?)] {
        ensure_sound!(inside.text().contains(DONE), "{who}: {}", inside.all());
        ensure!(!inside.text().contains("REACHED"), "{who}: {}", inside.all());
    }
    Ok(())
}

fn hand_over(field: &Field, sandbox: &Running, file: &str) -> Verdict {
    let sockets = sockets_of(field, sandbox)?;
    let told = sandbox.inspect()?;
    let Some(supervisor) = told["supervisor_pid"].as_u64() else {
        return broken(format!("a running sandbox without a supervisor: {told}"));
    };
    let supervisor = u32::try_from(supervisor)?;
    let words = arguments("IP09", [vec![file.to_owned()], sockets].concat());
    let from_outside = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(
        from_outside.text().contains(": Ok(1)"),
        "nothing was handed over: {}",
        from_outside.all()
    );
    let from_inside = sandbox.exec(&[PAYLOAD_INSIDE, "IP09", file])?;
    ensure_sound!(from_inside.text().contains(DONE), "{}", from_inside.all());
    let supervisors = host::below(supervisor).into_iter().map(|process| process.pid);
    for pid in std::iter::once(supervisor).chain(supervisors) {
        // Of a guest that protects itself, only root sees what is open.
        let open = host::descriptors(pid).unwrap_or_default();
        ensure!(
            !open.iter().any(|target| target.contains(file)),
            "process {pid} has kept {file}"
        );
    }
    sandbox.exec(&["true"])?.expect(0).map(drop)
}
