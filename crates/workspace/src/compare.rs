//! Whether two files hold the same bytes.

use std::fs::File;
use std::io::{ErrorKind, Read};

use crate::change::Content;

const BLOCK_BYTES: usize = 64 << 10;

/// How much may still be read to compare files.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) bytes: u64,
}

impl Budget {
    /// Compares two files of the same size, if there is budget for it.
    pub(crate) fn compare(&mut self, before: File, after: File, size: u64) -> Content {
        let Some(left) = self.bytes.checked_sub(size) else {
            return Content::Unknown;
        };
        self.bytes = left;
        match same(before, after, size) {
            Ok(true) => Content::Same,
            Ok(false) => Content::Differs,
            Err(_) => Content::Unknown,
        }
    }
}

/// Reads both to the end; a file that grows meanwhile is not read for ever.
fn same(mut before: File, mut after: File, size: u64) -> std::io::Result<bool> {
    let mut blocks = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut seen = 0;
    loop {
        let (left, right) = (
            fill(&mut before, &mut blocks.0)?,
            fill(&mut after, &mut blocks.1)?,
        );
        if blocks.0.get(..left) != blocks.1.get(..right) {
            return Ok(false);
        }
        seen += u64::try_from(left).unwrap_or(u64::MAX);
        if left < BLOCK_BYTES {
            return Ok(true);
        }
        if seen > size {
            return Ok(false);
        }
    }
}

/// Fills a block, up to the end of the file.
fn fill(file: &mut File, block: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
