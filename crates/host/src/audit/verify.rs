//! Checking.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::{VERSION, genesis, hash};
use crate::error::{Error, Result};

/// A longer line is not ours: a receipt has some kilobytes.
const MAX_LINE: u64 = 1 << 20;

/// A chain without a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many lines it has.
    pub lines: u64,
    /// The hash of the last one. Kept elsewhere, it proves that no line went missing.
    pub head: String,
}

#[derive(Deserialize)]
struct Checked {
    v: u32,
    seq: u64,
    prev: String,
    hash: String,
}

/// Checks the log of a sandbox.
///
/// # Errors
/// [`Error::Corrupt`] names the first line that breaks the chain.
pub fn verify(path: &Path) -> Result<Verified> {
    let file = std::fs::File::open(path).map_err(|error| Error::state("read", path, error))?;
    let id = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let mut reader = BufReader::new(file);
    let mut found = Verified {
        lines: 0,
        head: genesis(id),
    };
    loop {
        let mut line = Vec::new();
        std::io::Read::take(&mut reader, MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::state("read", path, error))?;
        if line.is_empty() {
            return Ok(found);
        }
        check(&line, &mut found).map_err(|why| Error::Corrupt {
            path: path.to_owned(),
            why: format!("line {}: {why}", found.lines + 1),
        })?;
    }
}

fn check(line: &[u8], found: &mut Verified) -> Result<(), String> {
    let text = line.strip_suffix(b"\n").ok_or("it is cut off")?;
    let parsed: Checked =
        serde_json::from_slice(text).map_err(|error| format!("it is no audit line: {error}"))?;
    if parsed.v != VERSION {
        return Err(format!(
            "it has version {}, and this Stockade reads {VERSION}",
            parsed.v
        ));
    }
    let tail = format!(",\"hash\":\"{}\"}}", parsed.hash);
    let body = text
        .strip_suffix(tail.as_bytes())
        .ok_or("its hash is not its last field")?;
    let mut hashed = body.to_vec();
    hashed.push(b'}');
    if hash(&hashed) != parsed.hash {
        return Err("it was edited".to_owned());
    }
    if parsed.seq != found.lines || parsed.prev != found.head {
        return Err("it does not follow the line before: lines were removed, added or moved".to_owned());
    }
    *found = Verified {
        lines: found.lines + 1,
        head: parsed.hash,
    };
    Ok(())
}
