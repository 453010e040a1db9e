//! The files in which results are kept: `probes/DRIVER.json`, and the whole report beside it.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::Probed;
use crate::audit::hash;
use crate::error::{Error, Result};
use crate::state::{Durability, MAX_FILE_BYTES, StateDirs, from_json, seal, to_json, unseal};

/// The version of the form that this program writes.
pub(super) const VERSION: u32 = 1;
/// The directory below the state.
const PROBES: &str = "probes";
/// Longest short file: a contradiction has some 300 bytes, and there are a few hundred probes.
const MAX_SHORT_BYTES: u64 = 512 << 10;
/// Most are shorter: nothing but circumstances.
const USUAL_BYTES: usize = 4 << 10;

fn short_name(driver: &str) -> String {
    format!("{driver}.json")
}

fn report_name(driver: &str) -> String {
    format!("{driver}-report.json")
}

impl Probed {
    /// What is kept of a driver in a state directory; none if it was never probed. Costs one small file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not whole, not ours, or of another form; [`Error::State`] if it cannot be read.
    pub fn read(state: &Path, driver: &str) -> Result<Option<Self>> {
        let path = state.join(PROBES).join(short_name(driver));
        let corrupt = |why: &str| Error::Corrupt {
            path: path.clone(),
            why: why.to_owned(),
        };
        let Some(bytes) = read_private(&path, MAX_SHORT_BYTES)? else {
            return Ok(None);
        };
        let json = unseal(&bytes).ok_or_else(|| corrupt("it was cut off or changed"))?;
        let probed: Self = from_json(&json, VERSION, &path)?;
        if probed.driver != driver {
            return Err(corrupt("it is of another driver"));
        }
        Ok(Some(probed))
    }

    /// The whole report that goes with it.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Corrupt`] as well if it is of another probe.
    pub fn report(&self, state: &Path) -> Result<Vec<u8>> {
        let path = state.join(PROBES).join(report_name(&self.driver));
        let bytes = read_private(&path, MAX_FILE_BYTES)?.ok_or_else(|| Error::Corrupt {
            path: path.clone(),
            why: "it is missing".to_owned(),
        })?;
        if hash(&bytes) == self.report {
            return Ok(bytes);
        }
        Err(Error::Corrupt {
            path,
            why: "it was cut off or changed".to_owned(),
        })
    }

    /// Keeps a result, in place of the former one. Where that fails, the former one is removed: it would
    /// say of now what is not so.
    ///
    /// # Errors
    /// [`Error::State`], and [`Error::Corrupt`] if it is longer than what is read.
    pub fn keep(mut self, state: &StateDirs, report: &[u8]) -> Result<()> {
        match state.root().make_directory(PROBES) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(state.root().error("create", PROBES, error)),
        }
        let directory = state.root().open_below(PROBES);
        let directory = directory.map_err(|error| state.root().error("open", PROBES, error))?;
        let (short, whole) = (short_name(&self.driver), report_name(&self.driver));
        self.report = hash(report);
        let written = (|| {
            let bytes = seal(to_json(&self, &directory.path().join(&short))?);
            fits(&bytes, MAX_SHORT_BYTES, &directory.path().join(&short))?;
            fits(report, MAX_FILE_BYTES, &directory.path().join(&whole))?;
            directory.replace(&whole, report, Durability::Process)?;
            directory.replace(&short, &bytes, Durability::Process)
        })();
        written.inspect_err(|_| {
            // What failed first is told.
            let _ = directory.remove_file(&short);
        })
    }
}

fn fits(bytes: &[u8], most: u64, path: &Path) -> Result<()> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        return Ok(());
    }
    Err(Error::Corrupt {
        path: path.to_owned(),
        why: format!("it would have {} bytes, more than {most}", bytes.len()),
    })
}

/// A regular file of ours that nobody else can write; none if there is none.
fn read_private(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| Error::state("read", path, error);
    let corrupt = |why: String| {
        Err(Error::Corrupt {
            path: path.to_owned(),
            why,
        })
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(fd) => std::fs::File::from(fd),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP) => return corrupt("it is a symbolic link".to_owned()),
        Err(error) => return Err(failed(error.into())),
    };
    let seen = file.metadata().map_err(failed)?;
    if !seen.is_file() {
        return corrupt("it is no regular file".to_owned());
    }
    if seen.uid() != rustix::process::geteuid().as_raw() || seen.mode() & 0o022 != 0 {
        return corrupt("others could have written it".to_owned());
    }
    if seen.size() > most {
        return corrupt(format!("longer than {most} bytes, so it is not Stockade's"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(seen.size()).unwrap_or(0).max(USUAL_BYTES));
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}
