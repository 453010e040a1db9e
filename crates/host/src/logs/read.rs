//! Readers in other processes, who take what is there, of a sandbox that runs or has ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use stockade_wire::Decoder;

use super::{LogRecord, PREFIX};
use crate::error::{Error, Result};
use crate::state::{Dir, SANDBOXES, StateDirs};

const READ: usize = 64 << 10;
/// Files of a log that are looked at; there are two.
const MAX_FILES: usize = 16;

/// Which part is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// Nothing that came before this (milliseconds since 1970).
    pub since_ms: Option<u64>,
    /// Only so many lines at the end.
    pub tail: Option<usize>,
    /// Nothing before this offset.
    pub from: u64,
}

/// Calls `each` with every record of a sandbox's log that is wanted, oldest first. Returns the
/// offset after the last one that is there.
///
/// # Errors
/// [`Error::NotFound`] if the sandbox has no log, [`Error::State`], and what `each` says.
pub fn read(
    dirs: &StateDirs,
    id: &str,
    wanted: Excerpt,
    mut each: impl FnMut(LogRecord) -> Result<()>,
) -> Result<u64> {
    let no_log = || Error::NotFound {
        what: "log of a sandbox",
        name: id.to_owned(),
        remedy: Some("only detached sandboxes have one (`stockade run -d`)".to_owned()),
    };
    let dir = dirs
        .root()
        .open_below(&format!("{SANDBOXES}/{id}"))
        .map_err(|_| no_log())?;
    let files = files(&dir)?;
    if files.is_empty() {
        return Err(no_log());
    }
    let mut tail = wanted.tail.map(Tail::new);
    let mut end = 0;
    for serial in files {
        each_record(&dir, serial, &mut |record| {
            end = record.end();
            let Some(record) = record.after(wanted.from) else {
                return Ok(());
            };
            if wanted.since_ms.is_some_and(|since| record.at_ms < since) {
                return Ok(());
            }
            match &mut tail {
                Some(tail) => {
                    tail.add(record);
                    Ok(())
                }
                None => each(record),
            }
        })?;
    }
    tail.map_or_else(VecDeque::new, |tail| tail.records)
        .into_iter()
        .try_for_each(each)?;
    Ok(end)
}

/// The numbers of a log's files, oldest first.
fn files(dir: &Dir) -> Result<Vec<u64>> {
    let names = dir.names()?;
    let mut serials: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok())
        .collect();
    serials.sort_unstable();
    serials.truncate(MAX_FILES);
    Ok(serials)
}

fn each_record(dir: &Dir, serial: u64, each: &mut dyn FnMut(LogRecord) -> Result<()>) -> Result<()> {
    let name = format!("{PREFIX}{serial}");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(dir.fd(), name.as_str(), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // Thrown away since it was listed.
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(dir.error("read", &name, error)),
    };
    let mut decoder = Decoder::<LogRecord>::new();
    let mut buffer = vec![0; READ];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|error| Error::state("read", dir.path().join(&name), error))?;
        // The begin of a record whose end is not written (yet) is left out.
        if count == 0 {
            return Ok(());
        }
        let mut input = &buffer[..count];
        while let Some(record) = decoder.next(&mut input).map_err(|error| Error::Corrupt {
            path: dir.path().join(&name),
            why: error.to_string(),
        })? {
            each(record)?;
        }
    }
}

/// The last lines: whole records first, the oldest one cut where its part begins.
struct Tail {
    lines: usize,
    /// Ends of lines in `records`.
    ends: usize,
    records: VecDeque<LogRecord>,
}

impl Tail {
    fn new(lines: usize) -> Self {
        Self {
            lines,
            ends: 0,
            records: VecDeque::new(),
        }
    }

    fn add(&mut self, record: LogRecord) {
        self.ends += ends(&record.bytes);
        self.records.push_back(record);
        self.cut();
    }

    /// A last line without an end counts as a line.
    fn wanted_ends(&self) -> usize {
        let is_open = self
            .records
            .back()
            .is_some_and(|last| last.bytes.last() != Some(&b'\n'));
        self.lines.saturating_sub(usize::from(is_open))
    }

    fn cut(&mut self) {
        let wanted = self.wanted_ends();
        while let Some(first) = self.records.front_mut() {
            let here = ends(&first.bytes);
            if self.lines > 0 && self.ends <= wanted {
                return;
            }
            let surplus = self.ends - wanted;
            if here < surplus || self.lines == 0 {
                self.ends -= here;
                self.records.pop_front();
                continue;
            }
            // The part after so many ends of lines.
            let cut = first
                .bytes
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .nth(surplus.saturating_sub(1))
                .map_or(0, |(at, _)| at + 1);
            let offset = first.offset + u64::try_from(cut).unwrap_or(0);
            self.ends -= surplus;
            match self.records.pop_front().and_then(|first| first.after(offset)) {
                Some(rest) => self.records.push_front(rest),
                None => continue,
            }
            return;
        }
    }
}

fn ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
