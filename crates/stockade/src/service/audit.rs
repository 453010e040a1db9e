//! The record of what happened: reading and checking it, and writing what belongs to no
//! sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stockade_host::Error;
use stockade_host::audit::{AuditLog, By, Damage, Event, Found, Sink, Verifier, files, read_lines};
use stockade_host::state::StateDirs;

use super::{Result, state};
use crate::failure::Failure;

pub use stockade_host::audit::{Entry, KINDS, Verified, utc};

/// How soon a new record is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Who else gets the records of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readers {
    /// A descriptor of this process.
    pub descriptor: Option<RawFd>,
    /// The system's log.
    pub system_log: bool,
}

impl Readers {
    /// Finds them, before anything is made.
    pub(super) fn open(self) -> Result<Vec<Sink>> {
        let mut sinks = Vec::new();
        if let Some(number) = self.descriptor {
            sinks.push(Sink::descriptor(number)?);
        }
        if self.system_log {
            sinks.push(Sink::system_log()?);
        }
        Ok(sinks)
    }
}

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of which sandbox.
    pub sandbox: Which,
    /// Of which kinds; none means all.
    pub kinds: Vec<String>,
    /// Go on until that sandbox is removed.
    pub follow: bool,
}

/// A choice of sandboxes.
#[derive(Clone, Debug, Default)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// The latest one.
    Last,
    /// By its id, or the latest of a name.
    Called(String),
}

/// Something that was read.
pub enum Seen<'a> {
    /// A record, and its line.
    Record(&'a Entry, &'a str),
    /// A line that is none.
    Damage {
        /// The file.
        file: &'a Path,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: &'a str,
    },
}

/// Gives what is wanted, oldest first. `each` says whether to go on.
///
/// # Errors
/// There is no such sandbox, or a file cannot be read.
pub fn show(wanted: &Wanted, each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<()> {
    let dirs = state()?;
    let sandbox = match &wanted.sandbox {
        Which::All => None,
        Which::Last => Some(find(&dirs, None)?),
        Which::Called(name) => Some(find(&dirs, Some(name))?),
    };
    let mut reader = Reading {
        sandbox,
        wanted,
        at: BTreeMap::new(),
        over: false,
    };
    loop {
        for file in files(&dirs)? {
            reader.read_on(&file, each)?;
        }
        if reader.over || !wanted.follow {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

struct Reading<'a> {
    sandbox: Option<String>,
    wanted: &'a Wanted,
    /// How far each file was read: bytes and lines.
    at: BTreeMap<PathBuf, (u64, u64)>,
    over: bool,
}

impl Reading<'_> {
    fn read_on(&mut self, path: &Path, each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<()> {
        let failed = |cause| Failure::from(Error::state("read", path, cause));
        let (from, lines_before) = self.at.get(path).copied().unwrap_or_default();
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length <= from || self.over {
            return Ok(());
        }
        // What is being written may end within a line; its end comes the next time.
        let until = if self.wanted.follow {
            last_line_end(&mut file, from, length).map_err(failed)?
        } else {
            length
        };
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let (mut lines, mut result) = (0, Ok(()));
        read_lines(BufReader::new(file.take(until - from)), |line| {
            lines = line.number;
            let seen = match &line.found {
                Found::Entry(entry, text) => self.wants(entry).then_some(Seen::Record(entry, text)),
                // It is of nobody in particular.
                Found::Damage(_) if self.sandbox.is_some() => None,
                Found::Damage(Damage { why }) => Some(Seen::Damage {
                    file: path,
                    line: lines_before + line.number,
                    why,
                }),
            };
            if let Some(seen) = seen {
                result = each(seen).map(|go_on| self.over |= !go_on);
            }
            result.is_ok() && !self.over
        })
        .map_err(failed)?;
        self.at.insert(path.to_owned(), (until, lines_before + lines));
        result
    }

    fn wants(&mut self, entry: &Entry) -> bool {
        if let Some(sandbox) = &self.sandbox {
            if *sandbox != entry.sandbox {
                return false;
            }
            self.over |= self.wanted.follow && matches!(entry.kind(), "destroyed" | "refused");
        }
        self.wanted.kinds.is_empty() || self.wanted.kinds.iter().any(|kind| kind == entry.kind())
    }
}

/// Where the last whole line ends.
fn last_line_end(file: &mut File, from: u64, length: u64) -> std::io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = length;
    while end > from {
        let start = end.saturating_sub(STEP).max(from);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(end - start).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + u64::try_from(at).unwrap_or(0) + 1);
        }
        end = start;
    }
    Ok(from)
}

/// A sandbox's id: the latest of a name, or of all.
fn find(dirs: &StateDirs, name: Option<&str>) -> Result<String> {
    for file in files(dirs)?.iter().rev() {
        let failed = |cause| Failure::from(Error::state("read", file, cause));
        let mut found = None;
        read_lines(BufReader::new(File::open(file).map_err(failed)?), |line| {
            if let Found::Entry(entry, _) = line.found {
                let begins = matches!(entry.kind(), "created" | "refused");
                let is_it = name.is_none_or(|name| entry.text("name") == Some(name));
                if (begins && is_it) || name == Some(entry.sandbox.as_str()) {
                    found = Some(entry.sandbox);
                }
            }
            true
        })
        .map_err(failed)?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let remedy = match name {
        Some(_) => "stockade audit show --kind created lists all that were made",
        None => "nothing was run with this state directory",
    };
    Err(Failure::from(Error::NotFound {
        what: "sandbox in the audit log",
        name: name.unwrap_or("the latest").to_owned(),
        remedy: Some(remedy.to_owned()),
    }))
}

/// Checks everything, a file, or one sandbox's chain.
///
/// # Errors
/// There is no such sandbox or file, or it cannot be read.
pub fn verify(what: Option<&str>, heads: &[String]) -> Result<Verified> {
    let path = what.map(Path::new).filter(|path| path.is_file());
    let mut verifier = Verifier::all();
    let mut paths = Vec::new();
    if let Some(path) = path {
        paths.push(path.to_owned());
    } else {
        let dirs = state()?;
        if let Some(name) = what {
            verifier = Verifier::of(&find(&dirs, Some(name))?);
        }
        paths = files(&dirs)?;
    }
    for head in heads {
        verifier = verifier.expecting(head);
    }
    for path in &paths {
        verifier.file(path)?;
    }
    Ok(verifier.finish())
}

/// Records that something was asked for that cannot be had.
///
/// # Errors
/// The record cannot be written.
pub fn refused(command: &[OsString], failure: &Failure) -> Result<()> {
    let event = Event::Refused {
        by: By::this_process(),
        command: command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        why: failure.to_string(),
        missing: failure
            .missing()
            .iter()
            .map(|missing| missing.control.to_string())
            .collect(),
    };
    Ok(AuditLog::apart(&*state()?, &event)?)
}
