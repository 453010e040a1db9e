//! Checking.

use std::collections::BTreeMap;
use std::path::Path;

use super::line::{Entry, genesis};
use super::read::{Found, Line, open, read_lines};
use crate::error::{Error, Result};

/// Breaks that are kept; all are counted.
pub const MAX_BREAKS: usize = 100;
/// Chains that are followed at once. Our own files hold fewer.
const MAX_CHAINS: usize = 1 << 20;

/// One sandbox's records.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Chain {
    /// How many there are here.
    pub records: u64,
    /// The number of the first one here; another than 0 where the beginning lies in a file
    /// that was not read.
    pub first: u64,
    /// The hash of the last one. Kept elsewhere, it proves that none went missing.
    pub head: String,
    /// The file that holds the record before the first one here, if that was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_in: Option<String>,
    /// Whether the end of the sandbox is recorded.
    pub ended: bool,
}

/// A place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Break {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The sandbox and the number of the record; none if the line does not tell.
    pub record: Option<(String, u64)>,
    /// What is wrong.
    pub why: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// How many lines there are.
    pub lines: u64,
    /// Each sandbox's chain.
    pub sandboxes: BTreeMap<String, Chain>,
    /// The first [`MAX_BREAKS`] breaks.
    pub breaks: Vec<Break>,
    /// How many there are.
    pub broken: u64,
    /// How many lines tell no sandbox.
    pub damaged: u64,
}

/// Checks files one after the other, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    found: Verified,
    /// Only this sandbox's chain, and what may have been of it.
    only: Option<String>,
    /// Hashes that must be seen.
    known: Vec<(String, bool)>,
}

impl Verifier {
    /// Checks the chains of all sandboxes.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Checks one sandbox's chain.
    #[must_use]
    pub fn of(sandbox: &str) -> Self {
        Self {
            only: Some(sandbox.to_owned()),
            ..Self::default()
        }
    }

    /// Demands that this hash is one of the chain's: it was its last when it was noted.
    #[must_use]
    pub fn expecting(mut self, head: &str) -> Self {
        self.known.push((head.to_owned(), false));
        self
    }

    /// Checks the next file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.bytes(&name, open(path)?)
            .map_err(|error| Error::state("read", path, error))
    }

    /// Checks what a reader gives, under the name of a file.
    ///
    /// # Errors
    /// What the reader says.
    pub fn bytes(&mut self, file: &str, reader: impl std::io::BufRead) -> std::io::Result<()> {
        read_lines(reader, |line| {
            self.line(file, line);
            true
        })
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Verified {
        for (head, seen) in std::mem::take(&mut self.known) {
            if !seen {
                self.found.broken += 1;
                self.found.breaks.push(Break {
                    file: String::new(),
                    line: 0,
                    record: None,
                    why: format!(
                        "no record has the hash {head}, which was noted: records were removed or written anew"
                    ),
                });
            }
        }
        self.found
    }

    fn line(&mut self, file: &str, line: Line) {
        let Line { number, found } = line;
        match found {
            Found::Damage(damage) => {
                self.found.lines += 1;
                self.found.damaged += 1;
                // Of one sandbox's chain, a gap in its numbers tells.
                if self.only.is_none() {
                    self.broke(file, number, None, damage.why);
                }
            }
            Found::Entry(entry, _) if self.only.as_ref().is_none_or(|only| *only == entry.sandbox) => {
                self.found.lines += 1;
                self.entry(file, number, &entry);
            }
            Found::Entry(..) => {}
        }
    }

    fn entry(&mut self, file: &str, number: u64, entry: &Entry) {
        for (head, seen) in &mut self.known {
            *seen |= *head == entry.hash;
        }
        let record = Some((entry.sandbox.clone(), entry.seq));
        if let Some(chain) = self.found.sandboxes.get_mut(&entry.sandbox) {
            let next = chain.first.saturating_add(chain.records);
            let follows = entry.seq == next && entry.prev == chain.head;
            let told = chain.ended;
            // From here on it is followed again, so that each break is found once.
            chain.records = entry.seq.saturating_sub(chain.first).saturating_add(1);
            chain.head.clone_from(&entry.hash);
            chain.ended = is_end(entry) || (told && entry.kind() == "lost");
            if !follows {
                let why = if entry.seq == next {
                    "it does not hold the hash of the record before: records were written anew".to_owned()
                } else {
                    format!("record {next} should stand here: records were removed, added or moved")
                };
                self.broke(file, number, record, why);
            }
            return;
        }
        if self.found.sandboxes.len() >= MAX_CHAINS {
            return self.broke(
                file,
                number,
                record,
                format!("there are more than {MAX_CHAINS} sandboxes: it is not checked"),
            );
        }
        let begins = entry.seq == 0 && entry.prev == genesis(&entry.sandbox);
        let continues = entry.seq > 0 && entry.kind() == "continued";
        let begins_in = entry.text("from").filter(|_| continues);
        self.found.sandboxes.insert(
            entry.sandbox.clone(),
            Chain {
                records: 1,
                first: entry.seq,
                head: entry.hash.clone(),
                begins_in: begins_in.map(str::to_owned),
                ended: is_end(entry),
            },
        );
        if !begins && !continues {
            let why = "it is the first one here and not the first of its sandbox: records were removed";
            self.broke(file, number, record, why.to_owned());
        }
    }

    fn broke(&mut self, file: &str, line: u64, record: Option<(String, u64)>, why: String) {
        self.found.broken += 1;
        if self.found.breaks.len() < MAX_BREAKS {
            self.found.breaks.push(Break {
                file: file.to_owned(),
                line,
                record,
                why,
            });
        }
    }
}

impl std::fmt::Display for Break {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(out, "{}, line {}: ", self.file, self.line)?;
        }
        if let Some((sandbox, seq)) = &self.record {
            write!(out, "record {seq} of sandbox {sandbox}: ")?;
        }
        out.write_str(&self.why)
    }
}

/// Checks all chains of a file.
///
/// # Errors
/// [`Error::Corrupt`] names the first line that breaks one.
pub fn verify(path: &Path) -> Result<Verified> {
    let mut verifier = Verifier::all();
    verifier.file(path)?;
    let found = verifier.finish();
    match found.breaks.first() {
        None => Ok(found),
        Some(first) => Err(Error::Corrupt {
            path: path.to_owned(),
            why: first.to_string(),
        }),
    }
}

/// After this record, none but losses that are told late may follow.
fn is_end(entry: &Entry) -> bool {
    matches!(entry.kind(), "destroyed" | "refused" | "failed")
}
