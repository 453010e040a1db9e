//! Raw mode of the user's terminal. Whoever enters it gets a guard; the terminal is given
//! back when the guard goes, and by the panic hook, because a panic aborts without drops.

use std::sync::{Mutex, Once};

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is raw while this lives.
#[derive(Debug)]
pub struct RawMode(());

impl RawMode {
    /// Makes the terminal at standard input raw.
    ///
    /// # Errors
    /// What the kernel says, for example that standard input is no terminal.
    pub fn enter() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        restore_on_panic();
        let mut raw = before.clone();
        raw.make_raw();
        // Kept before the change, so that no moment exists in which it could not be undone.
        if let Ok(mut saved) = BEFORE.lock() {
            *saved = Some(before);
        }
        let guard = Self(());
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(guard)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // try_lock: a panic while the lock is held must not wait for itself.
    let Some(before) = BEFORE.try_lock().ok().and_then(|mut saved| saved.take()) else {
        return;
    };
    // `Now` and not `Drain`: a terminal that was stopped by Ctrl-S would never drain. There
    // is nobody to tell about a failure: the terminal is gone.
    let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
    });
}
