//! The user's terminal while a command runs in one of its own.

use rustix::process::{Signal, kill_current_process_group};
use stockade_host::shim::{RunEvent, WindowSize};
use tokio::signal::unix::{SignalKind, signal};

use super::{Facts, RawMode, Wiring, Wish, size};

/// What a terminal has without anybody saying so.
const USUAL_SIZE: WindowSize = WindowSize {
    rows: 24,
    columns: 80,
    x_pixels: 0,
    y_pixels: 0,
};

/// How a command is wired, and the terminal's mode while it runs.
pub struct Console {
    wiring: Wiring,
    raw: Option<RawMode>,
}

/// Something to do for the command, after the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// The job was stopped and is continued: so shall the command be.
    Continue,
}

impl Console {
    /// Decides from the flags and what the standard streams are.
    pub fn new(wish: Wish, interactive: bool) -> Self {
        Self {
            wiring: Wiring::decide(Facts::survey(), wish, interactive),
            raw: None,
        }
    }

    /// The size of the command's terminal, if it gets one.
    pub fn tty(&self) -> Option<WindowSize> {
        self.wiring.pty.then(|| size().unwrap_or(USUAL_SIZE))
    }

    /// Whether the command gets input.
    pub fn stdin(&self) -> bool {
        self.wiring.stdin
    }

    /// Keys go to the command unchanged from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter(&mut self) -> std::io::Result<()> {
        if self.wiring.raw && self.raw.is_none() {
            self.raw = Some(RawMode::enter()?);
        }
        Ok(())
    }

    /// The user's terminal is as it was before.
    pub fn leave(&mut self) {
        self.raw = None;
    }

    /// Follows the command: when it stops, so does this job, with the terminal given back.
    pub fn event(&mut self, event: RunEvent) -> Then {
        match event {
            RunEvent::Stopped { .. } if self.wiring.raw => {
                self.leave();
                // Returns when the shell continues the job (or at once in an orphaned group,
                // which cannot be stopped).
                let _ = kill_current_process_group(Signal::TSTP);
                // Without its raw mode the terminal is usable, only less comfortable.
                let _ = self.enter();
                Then::Continue
            }
            RunEvent::Stopped { .. } | RunEvent::Started { .. } | RunEvent::Continued => Then::Nothing,
        }
    }

    /// Calls `tell` with each new size, for as long as the runtime lives.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn follow_size(&self, tell: impl Fn(WindowSize) + Send + 'static) -> std::io::Result<()> {
        if !self.wiring.pty {
            return Ok(());
        }
        let mut changes = signal(SignalKind::window_change())?;
        tokio::spawn(async move {
            while changes.recv().await.is_some() {
                if let Some(size) = size() {
                    tell(size);
                }
            }
        });
        Ok(())
    }
}
