//! Hands the set-up program to a guest that waits for it, and hears how it went.

use std::future::Future;
use std::time::Instant;

use stockade_linux::ops::{Attestation, Program};
use tokio::net::UnixStream;

use super::talk;
use super::wall::Wall;
use crate::driver::Seed;
use crate::error::{Error, Result};

/// Waits for the guest's answer, within the deadline. `sent` is what has to be sent for it.
pub(crate) async fn answer(
    wall: &mut Wall,
    link: &mut UnixStream,
    seed: &Seed,
    program: &Program,
    rest: impl AsyncFnOnce(&mut Wall) -> Result<()>,
) -> Result<Attestation> {
    let driver = wall.driver();
    let exchange = async {
        let sent = async {
            talk::send_program(link, program).await?;
            rest(wall).await
        };
        match sent.await {
            Ok(()) => talk::receive_reply(driver, link).await,
            // Gone while we were still sending: it has left word why.
            Err(lost @ Error::LinkLost { .. }) => match talk::receive_reply(driver, link).await {
                Err(Error::LinkLost { .. }) => Err(lost),
                told => told,
            },
            Err(error) => Err(error),
        }
    };
    match in_time(seed, exchange).await {
        Err(Error::LinkLost { why }) => Err(wall.early_failure(why)),
        other => other,
    }
}

/// Gives up at the deadline, or when the creation is cancelled.
async fn in_time<T>(seed: &Seed, exchange: impl Future<Output = Result<T>>) -> Result<T> {
    let deadline = tokio::time::Instant::from_std(seed.deadline);
    let started = Instant::now();
    tokio::select! {
        biased;
        result = exchange => result,
        () = seed.cancel.cancelled() => Err(Error::Cancelled { what: "creating the sandbox".to_owned() }),
        () = tokio::time::sleep_until(deadline) => Err(Error::Timeout {
            what: "setting up the sandbox".to_owned(),
            after: started.elapsed(),
        }),
    }
}
