//! Says on the terminal that something takes its time, once it has taken a second.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(100);

/// A line on standard error for as long as this lives, if that is long; it leaves nothing behind.
/// Where standard error is no terminal, nothing is ever written.
pub struct Waiting {
    end: Option<Sender<()>>,
    shown: Option<JoinHandle<()>>,
}

impl Waiting {
    /// For something that begins now, in words; `quiet` for who wants to hear nothing.
    pub fn begin(what: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self {
                end: None,
                shown: None,
            };
        }
        let (end, ended) = channel::<()>();
        let what = what.to_owned();
        let show = move || {
            let is_over = |after| ended.recv_timeout(after) != Err(RecvTimeoutError::Timeout);
            if is_over(PATIENCE) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // Without colours: nothing here needs one.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} · {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            while !is_over(TURN) {
                bar.tick();
            }
            bar.finish_and_clear();
        };
        Self {
            end: Some(end),
            // Without a thread there is no line, and the work is done all the same.
            shown: std::thread::Builder::new()
                .name("waiting".to_owned())
                .spawn(show)
                .ok(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(shown) = self.shown.take() {
            // The line is gone before anything else is written.
            let _ = shown.join();
        }
    }
}
