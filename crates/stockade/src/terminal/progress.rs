//! Says on the terminal which of many steps is under way.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error for as long as this lives; it leaves nothing behind. Where standard
/// error is no terminal, nothing is ever written.
pub struct Progress(ProgressBar);

impl Progress {
    /// For something that begins now, in words; `quiet` for who wants to hear nothing.
    pub fn begin(what: &str, quiet: bool) -> Self {
        let target = if quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        // Without colours: nothing here needs one.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} · {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// The step that begins.
    pub fn tell(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
