//! Whether a sandbox's record is still where others look for it. One whose record somebody has
//! removed can neither be listed nor stopped nor collected: it is ended.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::state::SandboxFolder;
use crate::sys::tell_of_removals;

/// Is told when something disappears from the record's directory.
#[derive(Debug, Default)]
pub(super) struct RecordWatch {
    told: Option<Signal>,
}

impl RecordWatch {
    /// Begins to watch. Needs a runtime.
    pub(super) fn begin(folder: &SandboxFolder) -> Self {
        // Listened to first: without that the signal would end this process.
        let told = signal(SignalKind::io()).ok();
        Self {
            told: told.filter(|_| tell_of_removals(folder.dir().fd()).is_ok()),
        }
    }

    /// False where this kernel does not tell: somebody has to look now and then.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Waits until something has disappeared there, or elsewhere: whoever is told has to look.
    /// Cancel safe.
    pub(super) async fn changed(&mut self) {
        match &mut self.told {
            Some(told) => drop(told.recv().await),
            None => std::future::pending().await,
        }
    }
}
