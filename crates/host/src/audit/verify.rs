//! Checking.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::{VERSION, genesis, hash};
use crate::error::{Error, Result};

/// A longer line is not ours: a receipt has some kilobytes.
const MAX_LINE: u64 = 1 << 20;

/// Chains without a break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many lines there are.
    pub lines: u64,
    /// Each sandbox's number of lines and the hash of its last. Kept elsewhere, it proves
    /// that none of them went missing.
    pub sandboxes: BTreeMap<String, (u64, String)>,
}

#[derive(Deserialize)]
struct Checked {
    v: u32,
    sandbox: String,
    seq: u64,
    prev: String,
    hash: String,
}

/// Checks all chains of a file.
///
/// # Errors
/// [`Error::Corrupt`] names the first line that breaks one.
pub fn verify(path: &Path) -> Result<Verified> {
    let file = std::fs::File::open(path).map_err(|error| Error::state("read", path, error))?;
    let mut reader = BufReader::new(file);
    let mut found = Verified::default();
    loop {
        let mut line = Vec::new();
        std::io::Read::take(&mut reader, MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::state("read", path, error))?;
        if line.is_empty() {
            return Ok(found);
        }
        found.lines += 1;
        check(&line, &mut found).map_err(|why| Error::Corrupt {
            path: path.to_owned(),
            why: format!("line {}: {why}", found.lines),
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
    let begin = || (0, genesis(&parsed.sandbox));
    let (lines, head) = found
        .sandboxes
        .entry(parsed.sandbox.clone())
        .or_insert_with(begin);
    if parsed.seq != *lines || parsed.prev != *head {
        return Err(format!(
            "it does not follow the line before of sandbox {}: lines were removed, added or moved",
            parsed.sandbox
        ));
    }
    *lines += 1;
    *head = parsed.hash;
    Ok(())
}
