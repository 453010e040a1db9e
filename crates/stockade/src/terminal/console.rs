//! The user's terminal while a command runs in one of its own.

use stockade_host::shim::{RunEvent, StopRequests, Tell, WindowSize, stop_here};
use tokio::signal::unix::{SignalKind, signal};

use stockade_host::Error;

use super::{Facts, RawMode, Wiring, Wish, size};

/// What a terminal has without anybody saying so.
const USUAL_SIZE: WindowSize = WindowSize {
    rows: 24,
    columns: 80,
    x_pixels: 0,
    y_pixels: 0,
};

/// The size of a terminal that nobody looks at yet.
pub fn usual_size() -> WindowSize {
    USUAL_SIZE
}

/// How a command is wired, and the terminal's mode while it runs.
pub struct Console {
    wiring: Wiring,
    raw: Option<RawMode>,
    /// There may be a shell that can continue what it stops.
    has_terminal: bool,
    /// Speaks to the command, once it is followed.
    tell: Option<Box<dyn Fn(Tell) + Send>>,
}

/// SIGCONT and SIGSTOP on every architecture that Stockade runs on.
const CONTINUE: u8 = 18;
const STOP: u8 = 19;

impl Console {
    /// Decides from the flags and what the standard streams are.
    pub fn new(wish: Wish, interactive: bool) -> Self {
        let facts = Facts::survey();
        Self {
            wiring: Wiring::decide(facts, wish, interactive),
            raw: None,
            has_terminal: facts.stdin || facts.stdout || facts.stderr,
            tell: None,
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

    /// The command is told of each new size, and stopped when this job shall be (Ctrl-Z), for
    /// as long as the runtime lives.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub fn follow(&mut self, tell: impl Fn(Tell) + Clone + Send + 'static) -> Result<(), Error> {
        if self.wiring.pty {
            let mut changes = signal(SignalKind::window_change())
                .map_err(|error| Error::io("listen to the terminal's size", error))?;
            let tell = tell.clone();
            tokio::spawn(async move {
                while changes.recv().await.is_some() {
                    size().map(Tell::Resize).into_iter().for_each(&tell);
                }
            });
        }
        if self.has_terminal
            && let Some(mut stops) = StopRequests::install()?
        {
            let tell = tell.clone();
            // The command first: this job stops when it is told that the command has.
            tokio::spawn(async move {
                loop {
                    stops.next().await;
                    tell(Tell::Signal(STOP));
                }
            });
        }
        self.tell = Some(Box::new(tell));
        Ok(())
    }

    /// Follows the command: when it stops, so does this job, with the terminal given back.
    pub fn event(&mut self, event: RunEvent) {
        match event {
            RunEvent::Stopped { .. } if self.has_terminal => self.stop(),
            RunEvent::Stopped { .. } | RunEvent::Started { .. } | RunEvent::Continued | RunEvent::Waiting => {
            }
        }
    }

    fn stop(&mut self) {
        self.leave();
        // Keys of the terminal go to the whole job; in raw mode that is left to us.
        stop_here(self.wiring.raw);
        // Without its raw mode the terminal is usable, only less comfortable.
        let _ = self.enter();
        if let Some(tell) = &self.tell {
            if self.wiring.pty {
                size().map(Tell::Resize).into_iter().for_each(tell);
            }
            tell(Tell::Signal(CONTINUE));
        }
    }
}
