//! A workspace that travels over the link: sent in before the first command, fetched when somebody looks, and at the end.

use std::sync::Arc;
use std::time::Duration;

use super::Shim;
use super::disk::DiskWatch;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::transport::{Bounds, Transport};

/// How long commands may take to end once they are killed.
const QUIET: Duration = Duration::from_secs(10);

impl Shim {
    /// Sends the workspace in, if it travels.
    pub(super) async fn send_workspace(&mut self) -> Result<()> {
        let Some(carried) = self.boundary.carried() else {
            return Ok(());
        };
        let Some(changes) = self.folder.changes_dir() else {
            return Ok(());
        };
        let bounds = Bounds {
            bytes: self.options.limits.disk.unwrap_or(Bounds::default().bytes),
        };
        let trash = self.folder.dirs().trash_path();
        let session = Arc::clone(&self.session);
        let transport = Transport::new(session, &carried, changes, trash, bounds);
        transport.send().await?;
        self.transport = Some(Arc::new(transport));
        if self.options.limits.disk.is_some() {
            self.room = carried.room.map(DiskWatch::beyond_now);
        }
        Ok(())
    }

    /// The last look, after the last command has ended.
    pub(super) async fn fetch_workspace(&mut self) {
        let Some(transport) = self.transport.take() else {
            return;
        };
        let fetched = tokio::select! {
            fetched = last(&self.session, &transport) => fetched,
            // Somebody does not want to wait.
            _ = self.signals.next() => Err(Error::Cancelled {
                what: "fetching the workspace".to_owned(),
            }),
        };
        match fetched {
            Ok(missing) => self.problems.extend(missing),
            Err(cause) => self.problems.push(Error::Stale {
                cause: Box::new(cause),
                age: transport.age().await.unwrap_or_default(),
            }),
        }
    }
}

/// Ends all commands and fetches what they left. What is not in the copy afterwards, if anything is not.
async fn last(session: &Session, transport: &Transport) -> Result<Option<Error>> {
    end_commands(session, Duration::ZERO).await?;
    Ok(transport.fetch(true).await?.missing.error())
}

/// Ends all commands; the guest stays.
///
/// # Errors
/// Something may still run, or the guest does not say that nothing does.
pub(super) async fn end_commands(session: &Session, grace: Duration) -> Result<()> {
    let failed = |why: &str| Error::Impossible {
        what: "end what runs inside".to_owned(),
        why: why.to_owned(),
        remedy: None,
    };
    match tokio::time::timeout(grace + QUIET, session.quiet(grace)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(failed("some of it did not end when it was killed")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(failed("the guest does not answer")),
    }
}
