//! Small files of ours: whole or not there.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// Longest file that is read: a million paths of 1,000 bytes, and some.
const MAX_BYTES: u64 = 2 << 30;

/// Writes a file that appears whole.
pub(crate) fn write_json(dir: &Place, name: &str, value: &impl Serialize) -> Result<()> {
    let draft = format!(".{name}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir.root(), &draft, flags, Mode::RUSR | Mode::WUSR)?;
    let mut out = std::io::BufWriter::new(File::from(file));
    serde_json::to_writer(&mut out, value)?;
    out.flush()?;
    rustix::fs::renameat(dir.root(), &draft, dir.root(), name)?;
    Ok(())
}

/// Waits until a file is on disk: with it, whoever comes after a loss of power can go back.
pub(crate) fn sync(dir: &Place, name: &str) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir.root(), name, flags, Mode::empty())?;
    Ok(rustix::fs::fdatasync(&file)?)
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads such a file; none if it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Place, name: &str, newest: u32) -> Result<Option<T>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(dir.root(), name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(cause) => return Err(cause.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None); // a loss of power came between its name and its content
    }
    let Versioned { version } = serde_json::from_slice(&bytes)?;
    if version > newest {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("written in version {version} by a newer Stockade; this one reads up to {newest}"),
        ));
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// A name that nobody else has chosen.
pub(crate) fn random_name() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness two names may be the same, and the second is refused.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
