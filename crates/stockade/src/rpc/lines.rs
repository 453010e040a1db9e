//! Lines in, of bounded length.

use stockade_host::shim::stdio::Input;

/// Bytes of one line, its end left out.
pub const MAX_LINE: usize = 2 << 20;
const READ: usize = 64 << 10;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end.
    Whole(Vec<u8>),
    /// It was thrown away.
    TooLong,
    /// There are no more.
    End,
}

/// Lines of standard input.
pub struct Lines {
    input: Input,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn new(input: Input) -> Self {
        Self {
            input,
            splitter: Splitter::default(),
            buffer: vec![0; READ],
        }
    }

    /// Waits for the next line. Cancel safe.
    pub async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            if let Some(line) = self.splitter.next() {
                return Ok(line);
            }
            let count = self.input.read(&mut self.buffer).await?;
            if count == 0 {
                return Ok(self.splitter.rest().unwrap_or(Line::End));
            }
            self.splitter.push(&self.buffer[..count]);
        }
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Splitter {
    bytes: Vec<u8>,
    /// Looked at already, without an end of line.
    seen: usize,
    /// The line was too long: its rest is thrown away.
    skipping: bool,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What came last, without an end of line.
    fn rest(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.bytes);
        self.seen = 0;
        if std::mem::take(&mut self.skipping) {
            return Some(Line::TooLong);
        }
        (!rest.is_empty()).then_some(Line::Whole(rest))
    }

    fn next(&mut self) -> Option<Line> {
        let end = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.seen + end) else {
            if self.skipping || self.bytes.len() > MAX_LINE {
                self.skipping = true;
                self.bytes.clear();
            }
            self.seen = self.bytes.len();
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        self.seen = 0;
        line.pop();
        if std::mem::take(&mut self.skipping) || line.len() > MAX_LINE {
            return Some(Line::TooLong);
        }
        Some(Line::Whole(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_wherever_they_are_cut() {
        let mut splitter = Splitter::default();
        splitter.push(b"on");
        assert_eq!(splitter.next(), None);
        splitter.push(b"e\ntwo\nth");
        assert_eq!(splitter.next(), Some(Line::Whole(b"one".to_vec())));
        assert_eq!(splitter.next(), Some(Line::Whole(b"two".to_vec())));
        assert_eq!(splitter.next(), None);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut splitter = Splitter::default();
        splitter.push(b"one\ntwo");
        assert_eq!(splitter.next(), Some(Line::Whole(b"one".to_vec())));
        assert_eq!(splitter.next(), None);
        assert_eq!(splitter.rest(), Some(Line::Whole(b"two".to_vec())));
        assert_eq!(splitter.rest(), None);
        splitter.push(&vec![b'x'; MAX_LINE + 1]);
        assert_eq!(splitter.next(), None);
        assert_eq!(splitter.rest(), Some(Line::TooLong));
        assert_eq!(splitter.rest(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_and_the_next_is_read() {
        let mut splitter = Splitter::default();
        for _ in 0..5 {
            splitter.push(&vec![b'x'; MAX_LINE]);
            assert_eq!(splitter.next(), None);
            assert!(splitter.bytes.len() <= MAX_LINE);
        }
        splitter.push(b"x\nnext\n");
        assert_eq!(splitter.next(), Some(Line::TooLong));
        assert_eq!(splitter.next(), Some(Line::Whole(b"next".to_vec())));
    }
}
