//! Says on the terminal that something takes its time, once it has taken a second.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(100);

/// A line on standard error for as long as this lives, if that is long; it leaves nothing behind.
/// Where standard error is no terminal, nothing is ever written.
pub struct Waiting {
    /// What it is about now; the thread ends with it.
    told: Option<Sender<String>>,
    shown: Option<JoinHandle<()>>,
}

impl Waiting {
    /// For something that begins now, in words; `quiet` for who wants to hear nothing.
    pub fn begin(what: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self {
                told: None,
                shown: None,
            };
        }
        let (told, heard) = channel();
        let mut what = what.to_owned();
        let show = move || {
            let until = Instant::now() + PATIENCE;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                match heard.recv_timeout(left) {
                    Ok(next) => what = next,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // Without colours: nothing here needs one.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} · {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            loop {
                match heard.recv_timeout(TURN) {
                    Ok(next) => bar.set_message(next),
                    Err(RecvTimeoutError::Timeout) => bar.tick(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            bar.finish_and_clear();
        };
        Self {
            told: Some(told),
            // Without a thread there is no line, and the work is done all the same.
            shown: std::thread::Builder::new()
                .name("waiting".to_owned())
                .spawn(show)
                .ok(),
        }
    }
}

impl Waiting {
    /// What it is about from now on.
    pub fn tell(&self, what: &str) {
        if let Some(told) = &self.told {
            // Without a thread nobody listens.
            let _ = told.send(what.to_owned());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.told.take());
        if let Some(shown) = self.shown.take() {
            // The line is gone before anything else is written.
            let _ = shown.join();
        }
    }
}
