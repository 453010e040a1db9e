//! A driver whose sandboxes are a real guest without a wall, with knobs for what can go wrong.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stockade_domain::{Demand, Demands, Ended, Level, Plan, Receipt, SessionKind, Support, Target, Usage};
use stockade_host::driver::{Boundary, BoxFuture, Driver, Leftover, LeftoverKind, Link, Record, Seed, Sweep};
use stockade_host::error::{Error, Result};
use stockade_host::view::Identity;

use crate::guest::Guest;

/// What a test can turn.
#[derive(Default)]
pub struct Knobs {
    /// What the sandbox uses.
    pub usage: Mutex<Usage>,
    /// Attempts to destroy that leave something.
    pub failing_destroys: AtomicU32,
    /// Attempts to destroy.
    pub destroys: AtomicU32,
    /// Links that were opened.
    pub links: AtomicU32,
    /// Cuts the present link.
    pub cut: Mutex<Option<tokio::task::AbortHandle>>,
    /// Kills the guest.
    pub guest: Mutex<Option<Arc<Guest>>>,
    /// What `leftovers` tells.
    pub leftovers: Mutex<Vec<Leftover>>,
    /// What was reaped.
    pub reaped: Mutex<Vec<Leftover>>,
    /// The receipt is one that was not planned.
    pub differs: Mutex<Option<Receipt>>,
}

pub fn leftover(id: &str) -> Leftover {
    Leftover {
        driver: "fake".into(),
        id: id.into(),
        kind: LeftoverKind::Cgroup,
        place: format!("/fake/{id}"),
    }
}

pub struct FakeBoundary {
    pub id: String,
    guest: Arc<Guest>,
    knobs: Arc<Knobs>,
    receipt: Receipt,
}

impl FakeBoundary {
    pub fn new(id: &str, knobs: &Arc<Knobs>) -> Self {
        let guest = Arc::new(Guest::start());
        *knobs.guest.lock().unwrap() = Some(Arc::clone(&guest));
        let empty = || Receipt::gather(std::iter::empty(), |_| unreachable!());
        let receipt = knobs.differs.lock().unwrap().take().unwrap_or_else(empty);
        Self {
            id: id.to_owned(),
            guest,
            knobs: Arc::clone(knobs),
            receipt,
        }
    }

    async fn wait(&self) -> Ended {
        let mut ended = self.guest.ended.clone();
        let status = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status);
        match status {
            Some(status) => match (status.code(), status.signal()) {
                (_, Some(9)) if self.knobs.usage.lock().unwrap().oom_kills.unwrap_or(0) > 0 => {
                    Ended::OutOfMemory
                }
                (Some(code), _) => Ended::GuestExited(code),
                (None, signal) => Ended::GuestKilled(signal.unwrap_or(0)),
            },
            None => Ended::Lost("unknown".into()),
        }
    }
}

impl Boundary for FakeBoundary {
    fn record(&self) -> Record {
        Record {
            version: 1,
            driver: "fake".into(),
            id: self.id.clone(),
            body: serde_json::json!({}),
        }
    }

    fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Through a relay that a test can cut.
    fn link(&self) -> BoxFuture<'_, Result<Link>> {
        Box::pin(async {
            let inner = self
                .guest
                .link()
                .map_err(|error| Error::io("open a link", error))?;
            inner.set_nonblocking(true).unwrap();
            let mut inner = tokio::net::UnixStream::from_std(inner).unwrap();
            let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
            let relay =
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut theirs, &mut inner).await });
            *self.knobs.cut.lock().unwrap() = Some(relay.abort_handle());
            self.knobs.links.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(ours) as Link)
        })
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async { Ok(*self.knobs.usage.lock().unwrap()) })
    }

    fn ended(&self) -> BoxFuture<'_, Ended> {
        Box::pin(self.wait())
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if tokio::time::timeout(grace, self.wait()).await.is_err() {
                self.guest.kill();
                self.wait().await;
            }
            Ok(())
        })
    }

    fn destroy(&mut self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async {
            self.guest.kill();
            self.wait().await;
            self.knobs.destroys.fetch_add(1, Ordering::Relaxed);
            let failing = &self.knobs.failing_destroys;
            let fails =
                failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            Ok(if fails.is_ok() {
                vec![leftover(&self.id)]
            } else {
                Vec::new()
            })
        })
    }
}

impl Drop for FakeBoundary {
    fn drop(&mut self) {
        self.guest.kill();
    }
}

/// The driver.
pub struct FakeDriver {
    pub knobs: Arc<Knobs>,
}

impl Driver for FakeDriver {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn survey(&self) -> BoxFuture<'_, Result<Target>> {
        Box::pin(std::future::pending())
    }

    fn level(&self, _: &Target, _: &Demands) -> Level {
        Level::Jail
    }

    fn session(&self, _: &Target) -> SessionKind {
        SessionKind::Full
    }

    fn support(&self, _: &Target, _: &Demand) -> Support {
        Support::impossible("it is a fake")
    }

    fn identity(&self, _: &Target, _: Option<&Path>) -> std::io::Result<Identity> {
        Ok(Identity { uid: 1000, gid: 1000 })
    }

    fn create<'a>(&'a self, _: Plan, seed: Seed) -> BoxFuture<'a, Result<Box<dyn Boundary>>> {
        Box::pin(async move { Ok(Box::new(FakeBoundary::new(&seed.id, &self.knobs)) as Box<dyn Boundary>) })
    }

    fn adopt(&self, _: Record) -> BoxFuture<'_, Result<Box<dyn Boundary>>> {
        Box::pin(std::future::pending())
    }

    fn sweep<'a>(&'a self, leftover: &'a Leftover, sweep: Sweep<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let swept = sweep.owner.is_none_or(|owner| leftover.place.ends_with(owner));
            if swept && !sweep.dry_run {
                self.knobs.reaped.lock().unwrap().push(leftover.clone());
            }
            Ok(swept)
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async { Ok(self.knobs.leftovers.lock().unwrap().clone()) })
    }

    fn reap(&self, leftover: Leftover) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.knobs.reaped.lock().unwrap().push(leftover);
            Ok(())
        })
    }
}
