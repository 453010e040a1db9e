//! Reading, from files that may be damaged or not ours at all.

use std::io::BufRead;
use std::path::PathBuf;

use super::line::{Entry, MAX_LINE_BYTES};
use super::place::is_file_name;
use crate::error::{Error, Result};
use crate::state::{AUDIT, StateDirs};

/// A line that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// What it holds.
    pub found: Found,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A record with the hash that it should have, and the line as it stands.
    Entry(Box<Entry>, String),
    /// Something else.
    Damage(Damage),
}

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Why.
    pub why: String,
}

/// The files of the audit log, oldest first.
///
/// # Errors
/// [`Error::State`].
pub fn files(dirs: &StateDirs) -> Result<Vec<PathBuf>> {
    let dir = dirs.part(AUDIT)?;
    let names = dir.names()?.into_iter().filter(|name| is_file_name(name));
    Ok(names.map(|name| dir.path().join(name)).collect())
}

/// Reads lines to the end and gives each. `each` says whether to go on.
///
/// # Errors
/// What the reader says.
pub fn read_lines(mut reader: impl BufRead, mut each: impl FnMut(Line) -> bool) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        let taken = std::io::Read::take(&mut reader, limit).read_until(b'\n', &mut bytes)?;
        if taken == 0 {
            return Ok(());
        }
        number += 1;
        let found = match bytes.strip_suffix(b"\n") {
            Some(line) => found(line),
            None if taken >= MAX_LINE_BYTES => {
                skip_line(&mut reader)?;
                damage(format!("it is longer than {MAX_LINE_BYTES} bytes"))
            }
            None => damage("it is cut off".to_owned()),
        };
        if !each(Line { number, found }) {
            return Ok(());
        }
    }
}

fn found(line: &[u8]) -> Found {
    match (Entry::read(line), std::str::from_utf8(line)) {
        (Ok(entry), Ok(text)) => Found::Entry(Box::new(entry), text.to_owned()),
        (Ok(_), Err(_)) => damage("it is no text".to_owned()),
        (Err(why), _) => damage(why),
    }
}

fn damage(why: String) -> Found {
    Found::Damage(Damage { why })
}

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(count);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Opens a file of the log, or one that somebody names.
pub(super) fn open(path: &std::path::Path) -> Result<impl BufRead + use<>> {
    let file = std::fs::File::open(path).map_err(|error| Error::state("read", path, error))?;
    Ok(std::io::BufReader::with_capacity(256 << 10, file))
}
