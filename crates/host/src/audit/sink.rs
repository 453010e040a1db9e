//! Other readers of the records. None of them may hold the sandbox up: what one does not
//! take at once, or within its queue, is lost to it and counted.

use std::fs::File;
use std::io::Write;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Where the system's log takes messages: journald's or syslog's.
const SYSTEM_LOG: &str = "/dev/log";
/// "security/authorization messages, private" and "informational" (RFC 5424).
const AUTHPRIV_INFO: u32 = 10 * 8 + 6;
/// Longest message for the system's log; many take no more.
const MAX_MESSAGE_BYTES: usize = 8 << 10;
/// Lines that wait for a slow reader of a descriptor.
const MAX_WAITING: usize = 4096;
/// What a slow reader gets at the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// One reader, and how many records it did not get.
pub struct Sink {
    kind: Kind,
    lost: u64,
    told: u64,
}

enum Kind {
    SystemLog(UnixDatagram),
    Descriptor(Writer),
    /// A descriptor to which nothing was written yet: its thread starts with the first
    /// line, when the sandbox stands.
    Idle(Option<OwnedFd>),
}

/// A thread that may wait for the reader.
struct Writer {
    lines: Option<SyncSender<Vec<u8>>>,
    written: Arc<AtomicU64>,
    given: u64,
    done: Receiver<()>,
}

impl Sink {
    /// The system's log.
    ///
    /// # Errors
    /// There is none here.
    pub fn system_log() -> Result<Self> {
        Self::log_at(SYSTEM_LOG)
    }

    fn log_at(path: &str) -> Result<Self> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = open().map_err(|error: std::io::Error| Error::Sink {
            sink: format!("the system's log at {path}"),
            cause: error,
            remedy: "start journald or a syslog daemon, or leave --audit-syslog out",
        })?;
        Ok(Self::new(Kind::SystemLog(socket)))
    }

    /// An open descriptor of this process, of which a copy is kept.
    ///
    /// # Errors
    /// It is not open for writing.
    pub fn descriptor(number: RawFd) -> Result<Self> {
        let failed = |cause: Errno| Error::Sink {
            sink: format!("descriptor {number} for the audit log"),
            cause: cause.into(),
            remedy: "open it for writing where stockade is started: stockade run --audit-fd 3 … 3>FILE",
        };
        let copy = copy_of(number).map_err(failed)?;
        let flags = rustix::fs::fcntl_getfl(&copy).map_err(failed)?;
        if flags & OFlags::RWMODE == OFlags::RDONLY {
            return Err(failed(Errno::BADF));
        }
        Ok(Self::new(Kind::Idle(Some(copy))))
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            lost: 0,
            told: 0,
        }
    }

    /// Its name in records.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::SystemLog(_) => "system-log",
            Kind::Descriptor(_) | Kind::Idle(_) => "descriptor",
        }
    }

    /// Offers a line with its end.
    pub(super) fn offer(&mut self, line: &[u8]) {
        if let Kind::Idle(descriptor) = &mut self.kind
            && let Some(descriptor) = descriptor.take()
        {
            self.kind = Kind::Descriptor(Writer::start(descriptor));
        }
        let taken = match &mut self.kind {
            Kind::Idle(_) => false,
            Kind::SystemLog(socket) => socket.send(&message(line)).is_ok(),
            Kind::Descriptor(writer) => writer.offer(line),
        };
        self.lost += u64::from(!taken);
    }

    /// How many records it did not get since this was last asked.
    pub(super) fn newly_lost(&mut self) -> u64 {
        let new = self.lost - self.told;
        self.told = self.lost;
        new
    }

    /// Gives it a last moment for what waits.
    pub(super) fn finish(&mut self) {
        if let Kind::Descriptor(writer) = &mut self.kind {
            self.lost += writer.finish();
        }
    }
}

/// A copy that no other program inherits.
fn copy_of(number: RawFd) -> rustix::io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    if number < 0 {
        return Err(Errno::BADF);
    }
    // By its number alone, without `unsafe`; the kernel may not have the call, or a filter
    // around us refuse it.
    let copied = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|own| pidfd_getfd(own, number, PidfdGetfdFlags::empty()));
    match copied {
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(
            format!("/proc/self/fd/{number}"),
            OFlags::WRONLY | OFlags::APPEND | OFlags::NOCTTY | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        ),
        other => other,
    }
}

/// A line as the system's log takes it (RFC 3164, without the time, which it adds).
fn message(line: &[u8]) -> Vec<u8> {
    let mut message = format!("<{AUTHPRIV_INFO}>stockade[{}]: ", std::process::id()).into_bytes();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    message.extend_from_slice(line.get(..MAX_MESSAGE_BYTES).unwrap_or(line));
    message
}

impl Writer {
    fn start(descriptor: OwnedFd) -> Self {
        let (lines, waiting) = sync_channel::<Vec<u8>>(MAX_WAITING);
        let (ended, done) = mpsc::channel();
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut file = File::from(descriptor);
            // Its end drops `waiting`: whoever offers more is told so.
            while let Ok(line) = waiting.recv() {
                if write_whole(&mut file, &line).is_err() {
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            drop(waiting);
            let _ = ended.send(());
        });
        Self {
            lines: Some(lines),
            written,
            given: 0,
            done,
        }
    }

    fn offer(&mut self, line: &[u8]) -> bool {
        let taken = self
            .lines
            .as_ref()
            .is_some_and(|lines| lines.try_send(line.to_vec()).is_ok());
        self.given += u64::from(taken);
        taken
    }

    /// How many lines were taken and not written.
    fn finish(&mut self) -> u64 {
        self.lines = None;
        match self.done.recv_timeout(FAREWELL) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let written = self.written.load(Ordering::Relaxed);
        let left = self.given.saturating_sub(written);
        self.given = written;
        left
    }
}

/// The reader may have made the descriptor non-blocking; it is its own then to be slow.
fn write_whole(file: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(file, PollFlags::OUT)], None)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Sink({}, {} lost)", self.name(), self.lost)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_reader_that_never_reads_loses_and_is_counted() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut sink = Sink::descriptor(writer.as_raw_fd()).unwrap();
        drop(writer);
        let line = vec![b'x'; 1 << 10];
        for _ in 0..2 * MAX_WAITING {
            sink.offer(&line);
        }
        assert!(sink.newly_lost() > 0, "the queue is bounded");
        assert_eq!(sink.newly_lost(), 0, "it is told once");
        sink.finish();
        assert!(sink.newly_lost() > 0, "what still waited is lost, too");
    }

    #[test]
    fn a_reader_that_reads_gets_all() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut sink = Sink::descriptor(writer.as_raw_fd()).unwrap();
        drop(writer);
        for number in 0..100 {
            sink.offer(format!("{number}\n").as_bytes());
        }
        sink.finish();
        assert_eq!(sink.newly_lost(), 0);
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 100);
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_the_remedy() {
        let readable = File::open("/dev/null").unwrap();
        for number in [-1, 9999, readable.as_raw_fd()] {
            let error = Sink::descriptor(number).unwrap_err().to_string();
            assert!(error.contains("fix: open it for writing"), "{error}");
        }
        let error = Sink::log_at("/no/such/log").unwrap_err().to_string();
        assert!(error.contains("--audit-syslog"), "{error}");
    }

    #[test]
    fn the_system_log_gets_messages_and_a_full_one_loses() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut sink = Sink::log_at(path.to_str().unwrap()).unwrap();
        sink.offer(b"{}\n");
        let mut bytes = [0; 100];
        let count = daemon.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        assert!(
            text.starts_with("<86>stockade[") && text.ends_with("]: {}"),
            "{text}"
        );
        for _ in 0..100_000 {
            sink.offer(b"{}\n");
            if sink.lost > 0 {
                break;
            }
        }
        assert!(sink.newly_lost() > 0);
    }
}
