//! The user's terminal: raw mode that is always given back, its size, and stopping with the
//! command that runs in it.

mod console;
mod raw;
mod screen;
mod standard;
mod waiting;
mod wiring;

pub use console::{Console, usual_size};
pub use raw::RawMode;
pub use screen::Screen;
pub use standard::hold_standard_streams;
pub use waiting::Waiting;
pub use wiring::{Facts, Wiring, Wish};

use rustix::termios::{Winsize, tcgetwinsize};
use stockade_host::shim::WindowSize;

/// Size of the user's terminal, from whichever standard stream is one.
pub fn size() -> Option<WindowSize> {
    // Zero columns is what a terminal without a known size says.
    let known = |size: &Winsize| size.ws_col > 0 && size.ws_row > 0;
    let size = tcgetwinsize(rustix::stdio::stdout())
        .or_else(|_| tcgetwinsize(rustix::stdio::stdin()))
        .or_else(|_| tcgetwinsize(rustix::stdio::stderr()))
        .ok()
        .filter(known)?;
    Some(WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
        x_pixels: size.ws_xpixel,
        y_pixels: size.ws_ypixel,
    })
}
