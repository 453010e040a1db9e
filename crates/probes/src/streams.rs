//! The standard streams of a child: read all the time, so that it never waits for us.

use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of one stream that are kept; the rest is counted.
const KEPT_BYTES: usize = 32 << 20;
/// How long a stream may stay open after its program has ended.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    total: u64,
}

struct Stream {
    kept: Arc<Mutex<Kept>>,
    reader: Option<JoinHandle<()>>,
}

/// Standard output and standard error.
pub struct Streams {
    out: Stream,
    err: Stream,
}

impl Streams {
    /// Reads those of a child that are pipes, from now on.
    #[must_use]
    pub fn of(child: &mut Child) -> Self {
        Self {
            out: Stream::read(child.stdout.take()),
            err: Stream::read(child.stderr.take()),
        }
    }

    /// Standard output so far, as much of it as is kept.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.out
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
            .clone()
    }

    /// Bytes of standard output so far, kept or not.
    #[must_use]
    pub fn output_total(&self) -> u64 {
        self.out.kept.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Standard error so far, as text.
    #[must_use]
    pub fn complaint(&self) -> String {
        let kept = self.err.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept.bytes).into_owned()
    }

    /// Waits until both are closed; false if something still holds one.
    pub fn drained(&self) -> bool {
        let deadline = Instant::now() + DRAIN;
        let done = |stream: &Stream| stream.reader.as_ref().is_none_or(JoinHandle::is_finished);
        while Instant::now() < deadline {
            if done(&self.out) && done(&self.err) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

impl Stream {
    fn read(source: Option<impl Read + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        let reader = source.map(|source| std::thread::spawn(move || keep(source, &shared)));
        Self { kept, reader }
    }
}

fn keep(mut source: impl Read, kept: &Mutex<Kept>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_BYTES.saturating_sub(kept.bytes.len()).min(count);
        kept.bytes.extend_from_slice(&buffer[..room]);
        kept.total += count as u64;
    }
}

/// Writes to a child's standard input in the background, and closes it.
pub fn feed(child: &mut Child, bytes: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        // A child that does not read all of it is no fault of the test.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    }
}
