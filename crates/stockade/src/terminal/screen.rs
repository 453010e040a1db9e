//! The whole screen of the user's terminal, given back when the guard goes or on a panic.

use std::io::Write;
use std::sync::Once;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};

use super::RawMode;

/// The screen is ours while this lives; keys come unchanged.
pub struct Screen {
    _raw: RawMode,
}

impl Screen {
    /// Takes the screen.
    ///
    /// # Errors
    /// What the kernel says, for example that standard input is no terminal.
    pub fn enter() -> std::io::Result<Self> {
        let raw = RawMode::enter()?;
        leave_on_panic();
        let guard = Self { _raw: raw };
        let mut out = std::io::stdout().lock();
        queue!(out, EnterAlternateScreen, Hide)?;
        out.flush()?;
        Ok(guard)
    }

    /// Shows lines in place of what was there, in one piece.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, lines: &[String]) -> std::io::Result<()> {
        let mut frame = Vec::new();
        for (row, line) in lines.iter().enumerate() {
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            queue!(frame, MoveTo(0, row))?;
            frame.extend_from_slice(line.as_bytes());
            queue!(frame, Clear(ClearType::UntilNewLine))?;
        }
        queue!(frame, Clear(ClearType::FromCursorDown))?;
        let mut out = std::io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let mut out = std::io::stdout().lock();
    // There is nobody to tell about a failure: the terminal is gone.
    let _ = queue!(out, Show, LeaveAlternateScreen).and_then(|()| out.flush());
}

fn leave_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            report(panic);
        }));
    });
}
