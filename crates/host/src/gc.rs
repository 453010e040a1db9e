//! Removes what killed supervisors left behind, and never touches the living.
//!
//! A sandbox is dead when the lock of its directory is free: the kernel frees it with the
//! shim. All that a driver makes bears the sandbox's id, and its directory exists, locked,
//! before anything is made; so a thing whose id has a directory here that nobody locks belongs
//! to nobody. One without a directory here may belong to another state directory: it is removed
//! only if it bears this directory's mark and nothing runs in it (the directory was deleted).
//! The order matters: things are listed first and their directories looked at afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::Serialize;

use crate::audit;
use crate::driver::{Driver, Leftover, Sweep};
use crate::error::Result;
use crate::state::{AUDIT, Claim, Emptied, KeptChanges, Phase, StateDirs, Status, is_claimed, status_in};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Also remove what belongs to other state directories of this user and is not in use.
    pub everywhere: bool,
    /// No new step is begun after this.
    pub time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            everywhere: false,
            time: Duration::from_secs(60),
        }
    }
}

/// What was found and done.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Sandboxes whose supervisor was killed.
    pub dead: Vec<String>,
    /// What was removed of them, or would be.
    pub reaped: Vec<Leftover>,
    /// Change sets that they left and that are kept.
    pub kept_changes: Vec<String>,
    /// Change sets that go on without what was changed last: its copy was removed by somebody.
    pub lost_changes: Vec<String>,
    /// Projects in which an apply or undo was killed, brought back to what they were.
    pub restored_projects: u64,
    /// Files and directories that were freed from the trash.
    pub freed: u64,
    /// Old audit logs that were removed.
    pub audit_logs: u64,
    /// What failed, in words.
    pub problems: Vec<String>,
    /// The time was over before all was done.
    pub unfinished: bool,
}

impl Report {
    /// True if nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.dead.is_empty()
            && self.reaped.is_empty()
            && self.lost_changes.is_empty()
            && self.restored_projects == 0
            && self.problems.is_empty()
            && !self.unfinished
    }

    fn note<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        result
            .map_err(|error| self.problems.push(format!("{what}: {error}")))
            .ok()
    }
}

/// Removes what killed supervisors left behind.
///
/// # Errors
/// [`crate::Error::State`] if the state directory cannot be read; everything else is in the report.
pub async fn collect(dirs: &Arc<StateDirs>, drivers: &[Arc<dyn Driver>], options: Options) -> Result<Report> {
    let mut run = Run {
        dirs,
        drivers,
        options,
        deadline: Instant::now() + options.time,
        mark: dirs.owner_mark(),
        heard: BTreeSet::new(),
        kept: BTreeSet::new(),
        gone: BTreeSet::new(),
        report: Report::default(),
    };
    run.leftovers().await;
    run.sandboxes()?;
    run.projects()?;
    run.change_sets()?;
    run.names()?;
    run.audit_logs()?;
    run.trash()?;
    Ok(run.report)
}

struct Run<'a> {
    dirs: &'a Arc<StateDirs>,
    drivers: &'a [Arc<dyn Driver>],
    options: Options,
    deadline: Instant,
    /// Of what drivers made for this directory.
    mark: String,
    /// Drivers that could tell what they left; of the others nothing is removed.
    heard: BTreeSet<&'static str>,
    /// Sandboxes that have ended and whose records stay.
    kept: BTreeSet<String>,
    /// Places of leftovers that are removed, or would be.
    gone: BTreeSet<String>,
    report: Report,
}

impl Run<'_> {
    fn is_over(&mut self) -> bool {
        let over = Instant::now() >= self.deadline;
        self.report.unfinished |= over;
        over
    }

    /// What drivers made for sandboxes that nobody supervises.
    async fn leftovers(&mut self) {
        let told = self.told();
        for driver in self.drivers {
            if self.is_over() {
                return;
            }
            let what = format!("driver {}", driver.name());
            let listed = driver.leftovers().await;
            let Some(mut all) = self.report.note(&what, listed) else {
                continue;
            };
            self.heard.insert(driver.name());
            let its = told.iter().filter(|(name, _)| name == driver.name());
            all.extend(its.map(|(_, leftover)| leftover.clone()));
            for leftover in all {
                // Drivers on one kernel share its cgroups, and each of them tells of all.
                if !self.gone.contains(&leftover.place) {
                    self.reap(driver.as_ref(), leftover).await;
                }
            }
        }
    }

    /// What supervisors knew that they left behind, each with the driver of its sandbox.
    fn told(&self) -> Vec<(String, Leftover)> {
        let all = self.dirs.list().unwrap_or_default().into_iter();
        let ended = all.filter(|listed| !listed.live).map(|listed| listed.status);
        ended
            .flat_map(|status| {
                let driver = status.driver;
                let named = move |leftover| (driver.clone(), leftover);
                status.leftovers.into_iter().map(named)
            })
            .collect()
    }

    async fn reap(&mut self, driver: &dyn Driver, leftover: Leftover) {
        if matches!(self.dirs.has(&leftover.id), Ok(false)) {
            return self.sweep(driver, leftover).await;
        }
        // Looked at after it was listed: a directory that is locked now was locked before
        // the thing was made.
        let what = format!("{} of {}", leftover.place, leftover.id);
        let claimed = is_claimed(self.dirs, &leftover.id);
        if self.report.note(&what, claimed) != Some(false) || self.is_over() {
            return;
        }
        if !self.options.dry_run {
            let reaped = driver.reap(leftover.clone()).await;
            if self.report.note(&what, reaped).is_none() {
                return;
            }
        }
        self.count_as_gone(leftover);
    }

    fn count_as_gone(&mut self, leftover: Leftover) {
        self.gone.insert(leftover.place.clone());
        self.report.reaped.push(leftover);
    }

    /// Of another state directory, or of this one before it was deleted: whether it lives
    /// cannot be told by a lock.
    async fn sweep(&mut self, driver: &dyn Driver, leftover: Leftover) {
        if self.is_over() {
            return;
        }
        let what = format!("{} of {}", leftover.place, leftover.id);
        let sweep = Sweep {
            owner: (!self.options.everywhere).then_some(self.mark.as_str()),
            dry_run: self.options.dry_run,
        };
        let swept = driver.sweep(&leftover, sweep).await;
        if self.report.note(&what, swept) == Some(true) {
            self.count_as_gone(leftover);
        }
    }

    /// Directories of sandboxes whose supervisor is gone.
    fn sandboxes(&mut self) -> Result<()> {
        for id in self.dirs.ids()? {
            if self.is_over() {
                return Ok(());
            }
            let Some(claim) = Claim::take(self.dirs, &id)? else {
                continue;
            };
            let status = match status_in(&claim.dir, &id) {
                Ok(status) => status,
                // What cannot be read cannot be kept for anybody; its changes stay.
                Err(error) => {
                    self.report.problems.push(error.to_string());
                    None
                }
            };
            let is_kept = status
                .as_ref()
                .is_some_and(|status| status.keep && status.phase == Phase::Ended);
            if is_kept {
                self.kept.insert(id);
                continue;
            }
            if self.is_unreaped(status.as_ref()) || !self.may_remove(status.as_ref()) {
                continue;
            }
            self.report.dead.push(id.clone());
            if !self.options.dry_run {
                let removed = self.remove(&claim, status.as_ref());
                self.report.note(&id, removed);
            }
        }
        Ok(())
    }

    /// What a driver that cannot be asked has left is found by its record.
    fn may_remove(&mut self, status: Option<&Status>) -> bool {
        let Some(status) = status else { return true };
        if self.heard.contains(status.driver.as_str()) {
            return true;
        }
        let problem = format!(
            "{}: left as it is, because driver {} cannot be asked",
            status.id, status.driver
        );
        self.report.problems.push(problem);
        false
    }

    /// True if something of the sandbox is still there: its record says what.
    fn is_unreaped(&self, status: Option<&Status>) -> bool {
        let reaped = |leftover: &Leftover| self.report.reaped.contains(leftover);
        status.is_some_and(|status| !status.leftovers.iter().all(reaped))
    }

    fn remove(&mut self, claim: &Claim, status: Option<&Status>) -> Result<()> {
        if let Some(status) = status {
            let kept: Option<KeptChanges> = self.dirs.settle_changes(status)?;
            self.report.kept_changes.extend(kept.map(|kept| kept.key));
            if status.keep && status.phase != Phase::Ended {
                return self.dirs.record_loss(claim, status);
            }
            if let Some(name) = &status.name {
                self.dirs.free_name(name, &claim.id)?;
            }
        }
        claim.discard(self.dirs)
    }

    /// Projects that a killed process left half changed.
    fn projects(&mut self) -> Result<()> {
        let (settled, failed) = self.dirs.settle_projects(self.options.dry_run)?;
        self.report.restored_projects = settled;
        let problems = failed.iter().map(ToString::to_string);
        self.report.problems.extend(problems);
        Ok(())
    }

    /// Change sets that nobody described: empty ones go, others stay and are told.
    fn change_sets(&mut self) -> Result<()> {
        for set in self.dirs.change_sets()? {
            // One whose dead sandbox is still there was left on purpose.
            if set.live || set.user.is_some() || self.is_over() {
                continue;
            }
            if !self.options.dry_run {
                let lost = self.dirs.give_up_lost(&set);
                if self.report.note(&set.key, lost) == Some(true) {
                    self.report.lost_changes.push(set.key.clone());
                }
            }
            if set.meta.is_some() {
                continue;
            }
            let dropped = !self.options.dry_run && {
                let dropped = self.dirs.drop_if_empty(&set);
                self.report.note(&set.key, dropped) == Some(true)
            };
            if !dropped {
                self.report.kept_changes.push(set.key);
            }
        }
        Ok(())
    }

    /// Names of sandboxes that are no more.
    fn names(&mut self) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        for name in self.dirs.all_names()? {
            // The name of a record that is kept is kept with it.
            if let Ok(Some(id)) = self.dirs.named(&name)
                && self.kept.contains(&id)
            {
                continue;
            }
            let freed = self.dirs.free_stale_name(&name);
            self.report.note(&name, freed);
        }
        Ok(())
    }

    fn audit_logs(&mut self) -> Result<()> {
        let audit = self.dirs.part(AUDIT)?;
        for log in audit::beyond_bound(&audit)? {
            if !self.options.dry_run {
                audit.remove_file(&log)?;
            }
            self.report.audit_logs += 1;
        }
        Ok(())
    }

    fn trash(&mut self) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        self.dirs.discard_spare()?;
        let emptied = self
            .dirs
            .empty_trash_fast(self.deadline.saturating_duration_since(Instant::now()))?;
        self.report.freed = emptied.removed;
        self.report.unfinished |= emptied.more;
        if emptied.failed > 0 {
            self.report.problems.push(resisting(&emptied));
        }
        Ok(())
    }
}

/// What stays in the trash, in words.
fn resisting(emptied: &Emptied) -> String {
    let count = emptied.failed;
    let Some((path, errno)) = &emptied.first_failed else {
        return format!("{count} things in the trash cannot be removed");
    };
    let remedy = match *errno {
        Errno::BUSY => "; something is mounted there or below: unmount it, then run `stockade gc`",
        Errno::PERM => "; it may be immutable: `chattr -R -i -a` it, then run `stockade gc`",
        Errno::ROFS => "; a read-only mount is below: unmount it, then run `stockade gc`",
        _ => "",
    };
    let cause = std::io::Error::from(*errno);
    format!(
        "{count} things in the trash cannot be removed, {} among them: {cause}{remedy}",
        path.display()
    )
}
