//! Sockets with names, System V and POSIX IPC.

use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;

use super::out::{argument, note, number, reached, read};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("IP01", abstract_names),
    ("IP04", paths),
    ("IP06", objects),
    ("IP07", paths_that_answer),
    ("IP08", common_places),
];

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
