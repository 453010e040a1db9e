//! Sockets with names, System V and POSIX IPC.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr as InternetAddress, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::out::{argument, note, number, reached, read, succeeded};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("CL06", leave_objects),
    ("IP01", abstract_names),
    ("IP04", paths),
    ("IP06", objects),
    ("IP07", paths_that_answer),
    ("IP08", common_places),
    ("IP08-lock", lock),
    ("IP08-note", notes),
    ("IP09", pass_descriptors),
    ("IP10", gateways),
    ("services", services),
];

/// How long an address may take that nobody has.
const PATIENCE: Duration = Duration::from_millis(300);
/// Descriptors that are passed at once.
const PASSED: usize = 8;

fn abstract_names(arguments: &[String]) {
    let stream = SocketAddr::from_abstract_name(argument(arguments, 0));
    note(format!(
        "stream: {:?}",
        stream.and_then(|name| UnixStream::connect_addr(&name))
    ));
    let sent = UnixDatagram::unbound().and_then(|socket| {
        let name = SocketAddr::from_abstract_name(argument(arguments, 1))?;
        socket.send_to_addr(b"hello", &name)
    });
    note(format!("datagram: {sent:?}"));
}

fn paths(arguments: &[String]) {
    for path in arguments {
        note(format!("{path}: {:?}", UnixStream::connect(path)));
        let root = format!("/proc/1/root{path}");
        note(format!("{root}: {:?}", UnixStream::connect(&root)));
    }
}

/// For sockets that are nobody's canary: connecting is what must not succeed.
fn paths_that_answer(arguments: &[String]) {
    for path in arguments {
        match connect(Path::new(path)) {
            Ok(_) => reached(format!("connected to {path}")),
            Err(error) => note(format!("{path}: {error}")),
        }
    }
}

/// Through the directory's descriptor, because an address has room for 107 bytes only.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// The secret stands in a shared memory segment, a message and a queue of the same key.
fn objects(arguments: &[String]) {
    let key = number(arguments, 0);
    match call(libc::SYS_shmget, &mut [Arg::Int(key), Arg::Int(0), Arg::Int(0)]) {
        Ok(id) => note(format!("shared memory {id}")),
        Err(error) => note(format!("shmget: {error}")),
    }
    match call(libc::SYS_semget, &mut [Arg::Int(key), Arg::Int(0), Arg::Int(0)]) {
        Ok(id) => note(format!("semaphore {id}")),
        Err(error) => note(format!("semget: {error}")),
    }
    match call(libc::SYS_msgget, &mut [Arg::Int(key), Arg::Int(0)]) {
        Ok(id) => {
            let mut message = [0_u8; 8 + 64];
            let wait = i64::from(libc::IPC_NOWAIT);
            let mut receive = [
                Arg::Int(id),
                Arg::Bytes(&mut message),
                Arg::Int(64),
                Arg::Int(0),
                Arg::Int(wait),
            ];
            note(format!("msgrcv: {:?}", call(libc::SYS_msgrcv, &mut receive)));
            read(&message[8..]);
        }
        Err(error) => note(format!("msgget: {error}")),
    }
    let name = format!("stockade-{key}");
    let flags = i64::from(libc::O_RDONLY | libc::O_NONBLOCK);
    match call(
        libc::SYS_mq_open,
        &mut [Arg::Text(&name), Arg::Int(flags), Arg::Int(0), Arg::Null],
    ) {
        Ok(queue) => {
            let mut message = [0_u8; 64];
            let mut receive = [
                Arg::Int(queue),
                Arg::Bytes(&mut message),
                Arg::Int(64),
                Arg::Null,
                Arg::Null,
            ];
            note(format!(
                "mq_timedreceive: {:?}",
                call(libc::SYS_mq_timedreceive, &mut receive)
            ));
            read(&message);
            drop(sys::own(queue));
        }
        Err(error) => note(format!("mq_open: {error}")),
    }
}

/// Where two sandboxes could leave notes for each other.
fn common_places(arguments: &[String]) {
    let text = argument(arguments, 0);
    // Drivers without a /tmp of the sandbox's own say where there is one.
    let temporary = std::env::var("TMPDIR").unwrap_or_default();
    let common = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/dev/mqueue", "/var/lock"];
    for directory in common.into_iter().chain([temporary.as_str()]) {
        let path = format!("{directory}/stockade-note");
        match std::fs::read_to_string(&path) {
            Ok(found) if found != text => reached(format!("{path}: {found}")),
            other => note(format!("{path}: {other:?}")),
        }
        let _ = std::fs::write(&path, text);
    }
}

/// Sockets and variables of services, each with its kind before a colon.
fn services(arguments: &[String]) {
    for word in arguments {
        let Some((kind, name)) = word.split_once(':') else {
            continue;
        };
        match kind {
            "unix" => note(format!("{name}: {:?}", connect(Path::new(name)))),
            "abstract" => note(format!(
                "@{name}: {:?}",
                SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name))
            )),
            "tcp" => note(format!(
                "{name}: {:?}",
                TcpStream::connect(format!("127.0.0.1:{name}"))
            )),
            // Not a canary: whoever connects to it has found the host's own.
            "real" => succeeded(name, &connect(Path::new(name))),
            "variable" => match std::env::var(name) {
                Ok(value) => read(format!("{name}={value}").as_bytes()),
                Err(error) => note(format!("{name}: {error}")),
            },
            _ => note(format!("what is {word}?")),
        }
    }
}

/// A port by many addresses: what is there never leaves the machine.
fn gateways(arguments: &[String]) {
    let port = u16::try_from(number(arguments, 0)).unwrap_or(0);
    for address in arguments.iter().skip(1) {
        let Ok(address) = address.parse::<IpAddr>() else {
            note(format!("{address} is no address"));
            continue;
        };
        let connected = TcpStream::connect_timeout(&InternetAddress::new(address, port), PATIENCE);
        note(format!("{address}: {connected:?}"));
    }
}

/// Holds a lock on a file for a while, and says so in another.
pub fn hold(arguments: &[String]) -> ExitCode {
    let held = File::open(argument(arguments, 0)).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        std::fs::write(argument(arguments, 1), "held")?;
        Ok(file)
    });
    if let Err(error) = &held {
        eprintln!("attack hold: {error}");
        return ExitCode::FAILURE;
    }
    let seconds = u64::try_from(number(arguments, 2)).unwrap_or(0);
    std::thread::sleep(Duration::from_secs(seconds));
    ExitCode::SUCCESS
}

/// Whether somebody else holds a lock on a file: a message without words.
fn lock(arguments: &[String]) {
    let file = match File::open(argument(arguments, 0)) {
        Ok(file) => file,
        Err(error) => super::out::give_up(format!("the file: {error}")),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => reached("somebody holds a lock on it"),
        other => note(format!("lock: {other:?}")),
    }
}

/// Looks for notes of another sandbox under one name in every place that programs share, and leaves its
/// own; with a third word it takes them away.
fn notes(arguments: &[String]) {
    let (name, clean) = (argument(arguments, 0), argument(arguments, 2) == "clean");
    let temporary = std::env::var("TMPDIR").unwrap_or_default();
    let places = [
        "/tmp",
        "/dev/shm",
        "/var/tmp",
        "/run",
        "/run/lock",
        "/var/lib",
        "/home",
    ];
    // An empty one would be the workspace, which two sandboxes may well share.
    let own = Some(temporary.as_str()).filter(|own| !own.is_empty() && !places.contains(own));
    for directory in places.into_iter().chain(own) {
        let path = Path::new(directory).join(name);
        if clean {
            let _ = std::fs::remove_file(&path);
        } else if path.exists() {
            reached(path.display());
        } else {
            note(format!("{}: {:?}", path.display(), std::fs::write(&path, "note")));
        }
    }
    let key = number(arguments, 1);
    let create = i64::from(libc::IPC_CREAT | libc::IPC_EXCL) | 0o666;
    let seen = |what: &str, made: std::io::Result<i64>| match made {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => reached(what),
        other => note(format!("{what}: {other:?}")),
    };
    if clean {
        let found = call(libc::SYS_semget, &mut [Arg::Int(key), Arg::Int(0), Arg::Int(0)]);
        let remove = i64::from(libc::IPC_RMID);
        let _ = found.map(|id| {
            call(
                libc::SYS_semctl,
                &mut [Arg::Int(id), Arg::Int(0), Arg::Int(remove), Arg::Null],
            )
        });
        let _ = call(libc::SYS_mq_unlink, &mut [Arg::Text(name)]);
        return;
    }
    seen(
        "a semaphore",
        call(
            libc::SYS_semget,
            &mut [Arg::Int(key), Arg::Int(1), Arg::Int(create)],
        ),
    );
    let flags = i64::from(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
    seen(
        "a message queue",
        call(
            libc::SYS_mq_open,
            &mut [Arg::Text(name), Arg::Int(flags), Arg::Int(0o666), Arg::Null],
        ),
    );
}

/// Hands an open file to whoever listens: at sockets by path, and at every socket that is open here.
fn pass_descriptors(arguments: &[String]) {
    let file = match File::open(argument(arguments, 0)) {
        Ok(file) => file,
        Err(error) => super::out::give_up(format!("the file: {error}")),
    };
    for path in arguments.iter().skip(1) {
        match connect(Path::new(path)) {
            Ok(socket) => {
                note(format!("{path}: {:?}", pass(&socket, &file)));
                // Until the other side has looked at it, or closed it.
                let _ = socket.set_read_timeout(Some(PATIENCE));
                let _ = std::io::Read::read(&mut &socket, &mut [0; 64]);
            }
            Err(error) => note(format!("{path}: {error}")),
        }
    }
    for number in 0..16 {
        if let Ok(copy) = sys::duplicate(number) {
            note(format!("descriptor {number}: {:?}", pass(&copy, &file)));
        }
    }
}

fn pass(socket: impl AsFd, file: &File) -> rustix::io::Result<usize> {
    let files = [file.as_fd(); PASSED];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PASSED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(
        socket,
        &[IoSlice::new(b"\n")],
        &mut ancillary,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )
}

/// Leaves objects with a key and a name behind, or removes them.
fn leave_objects(arguments: &[String]) {
    let key = number(arguments, 0);
    let name = argument(arguments, 1);
    let path = format!("/dev/shm/{name}");
    let is_removal = argument(arguments, 2) == "remove";
    let create = i64::from(libc::IPC_CREAT) | 0o666;
    let size = 4096;
    let made = [
        (
            libc::SYS_shmctl,
            call(
                libc::SYS_shmget,
                &mut [Arg::Int(key), Arg::Int(size), Arg::Int(create)],
            ),
        ),
        (
            libc::SYS_msgctl,
            call(libc::SYS_msgget, &mut [Arg::Int(key), Arg::Int(create)]),
        ),
    ];
    if is_removal {
        let remove = i64::from(libc::IPC_RMID);
        for (control, id) in made {
            let _ = id.map(|id| call(control, &mut [Arg::Int(id), Arg::Int(remove), Arg::Null]));
        }
        let _ = std::fs::remove_file(path);
        return;
    }
    note(format!("{:?} {:?}", made[0].1, made[1].1));
    note(format!("{path}: {:?}", std::fs::write(&path, name)));
}
