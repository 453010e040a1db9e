//! Where records lie: `audit/YEAR-MONTH.NUMBER.jsonl`, months in UTC, numbers from 1.
//! Names sort by age.

use std::fs::File;

use crate::error::{Error, Result};
use crate::state::{Dir, unix_ms};

/// A file that has reached this size gets no more records. The last write may exceed it.
pub const MAX_FILE_BYTES: u64 = 32 << 20;

/// Files that are kept: a month has one, and another for each [`MAX_FILE_BYTES`].
const MAX_FILES: usize = 36;
/// Numbers have four digits, so that names sort.
const MAX_NUMBER: u32 = 9999;

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

/// Days to a date, as in Howard Hinnant's "chrono-compatible low-level date algorithms":
/// years begin in March, so that the day that not every year has is the last one.
fn date(unix_ms: u64) -> Date {
    let days = unix_ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    Date {
        year: era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// `2026-11-21T07:13:44.123Z`.
#[must_use]
pub fn utc(unix_ms: u64) -> String {
    let Date { year, month, day } = date(unix_ms);
    let in_day = unix_ms % 86_400_000;
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The name of a month's file.
pub(super) fn file_name(unix_ms: u64, number: u32) -> String {
    let Date { year, month, .. } = date(unix_ms);
    format!("{year:04}-{month:02}.{number:04}.jsonl")
}

/// True for what [`file_name`] makes.
pub(super) fn is_file_name(name: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = name.split('.');
    let month = parts.next().and_then(|month| month.split_once('-'));
    month.is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
        && parts.next().is_some_and(|number| digits(number, 4))
        && parts.next() == Some("jsonl")
        && parts.next().is_none()
}

/// The oldest files, of which there are more than are kept.
pub(crate) fn beyond_bound(dir: &Dir) -> Result<Vec<String>> {
    let mut names = dir.names()?;
    names.retain(|name| is_file_name(name));
    names.truncate(names.len().saturating_sub(MAX_FILES));
    Ok(names)
}

/// The file that gets records now.
pub(super) struct Open {
    pub file: File,
    pub name: String,
    /// It ends within a line: whoever wrote that was killed, or the disk was full.
    pub torn: bool,
}

/// Opens this month's first file that has room; full ones before it stay as they are.
pub(super) fn open(dir: &Dir, max_bytes: u64) -> Result<Open> {
    let now = unix_ms();
    for number in 1..=MAX_NUMBER {
        let name = file_name(now, number);
        let file = dir.open_log(&name)?;
        let metadata = file
            .metadata()
            .map_err(|error| Error::state("read", dir.path().join(&name), error))?;
        if !metadata.is_file() {
            return Err(Error::Corrupt {
                path: dir.path().join(&name),
                why: "it is no ordinary file, so it is not Stockade's: remove it".to_owned(),
            });
        }
        if metadata.len() >= max_bytes {
            continue;
        }
        let torn = is_torn(&file, metadata.len())
            .map_err(|error| Error::state("read", dir.path().join(&name), error))?;
        return Ok(Open { file, name, torn });
    }
    Err(Error::Busy {
        what: format!("add to the audit log in {}", dir.path().display()),
        why: format!("this month has {MAX_NUMBER} full files: keep them elsewhere and remove them here"),
    })
}

fn is_torn(file: &File, length: u64) -> std::io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(false);
    };
    let mut byte = [0];
    let count = rustix::io::pread(file, &mut byte, last)?;
    Ok(count == 1 && byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_months_and_sort() {
        for (seconds, name) in [
            (0, "1970-01.0001.jsonl"),
            (951_782_399, "2000-02.0001.jsonl"),
            (951_868_800, "2000-03.0001.jsonl"),
            (1_709_251_199, "2024-02.0001.jsonl"),
            (1_735_689_599, "2024-12.0001.jsonl"),
            (1_735_689_600, "2025-01.0001.jsonl"),
        ] {
            assert_eq!(file_name(seconds * 1000, 1), name);
            assert!(is_file_name(name));
        }
        assert!(file_name(0, 9) < file_name(0, 10));
        for name in [
            "x",
            "2026-11.jsonl",
            "2026-11.0001.jsonl.x",
            "../2026-11.0001.jsonl",
            "20é6-11.0001.jsonl",
        ] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(utc(1_735_689_600_001), "2025-01-01T00:00:00.001Z");
    }
}
