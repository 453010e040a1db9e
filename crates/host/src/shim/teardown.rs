//! The end: everything is removed, and what could not be is told.

use std::sync::PoisonError;
use std::time::Duration;

use stockade_domain::{Exit, Usage};

use super::verdict::Verdict;
use super::{Outcome, Shim};
use crate::audit::{AuditLog, Event};
use crate::driver::{Boundary, Leftover};
use crate::error::{Error, Result};
use crate::open::unknown_leftover;
use crate::outside::{HostChanges, Outside};
use crate::state::{Finish, SandboxFolder};

/// Attempts to remove a sandbox, and the pause between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

impl Shim {
    /// Ends the sandbox after a failure.
    pub(super) async fn fail(self, error: Error) -> Error {
        match self.end(Err(error), 0, Duration::ZERO).await {
            Ok(outcome) => Error::LinkLost {
                why: format!("the sandbox ended: {:?}", outcome.exit),
            },
            Err(error) => error,
        }
    }

    /// Removes the sandbox and tells what came of it.
    pub(super) async fn end(
        mut self,
        result: Result<Verdict>,
        output_bytes: u64,
        duration: Duration,
    ) -> Result<Outcome> {
        let usage = if self.options.usage {
            self.boundary.usage().await.ok()
        } else {
            None
        };
        let exit = result.as_ref().ok().map(|verdict| verdict.exit);
        self.fetch_workspace().await;
        self.session.close("the sandbox was removed");
        let leftovers = destroy(&mut *self.boundary).await;
        // Before the changes are looked through, which it looks at, too.
        let outside = self.outside.take().map(Outside::finish).unwrap_or_default();
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.starts.take().and_then(|starts| starts.finish().err()));
        let mut unrecorded = self
            .close_log(&result, usage, output_bytes, &leftovers, outside)
            .err();
        let why = match &result {
            Ok(verdict) => verdict.why.clone(),
            Err(error) => Some(error.to_string()),
        };
        let finished = self.folder.finish(Finish {
            exit,
            why,
            oom_kills: usage.and_then(|usage| usage.oom_kills),
            nothing_ran: result
                .as_ref()
                .is_err_and(|error| matches!(error.root(), Error::Command { .. })),
            problems: problems
                .iter()
                .chain(&unrecorded)
                .map(ToString::to_string)
                .collect(),
            leftovers: leftovers.clone(),
        });
        match result {
            Err(error) => Err(error.with_leftovers(leftovers)),
            Ok(verdict) => {
                let changes = finished.unwrap_or_else(|error| {
                    unrecorded.get_or_insert(error);
                    None
                });
                let Verdict { exit, why } = verdict;
                Ok(Outcome {
                    exit,
                    why,
                    usage,
                    duration,
                    output_bytes,
                    changes,
                    leftovers,
                    problems,
                    unrecorded,
                })
            }
        }
    }

    fn close_log(
        &self,
        result: &Result<Verdict>,
        usage: Option<Usage>,
        output_bytes: u64,
        leftovers: &[Leftover],
        outside: HostChanges,
    ) -> Result<()> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        note_end(
            &mut audit,
            result,
            usage.and_then(|usage| usage.oom_kills),
            output_bytes,
        )?;
        if outside.count > 0 {
            audit.note(&Event::HostChanged(outside))?;
        }
        audit.note(&Event::Destroyed {
            usage,
            leftovers: leftovers.to_vec(),
        })?;
        audit.finish()
    }
}

fn note_end(
    audit: &mut AuditLog,
    result: &Result<Verdict>,
    oom_kills: Option<u64>,
    output_bytes: u64,
) -> Result<()> {
    match result {
        Ok(verdict) => {
            // Where the limit ended the command itself, that is told below.
            let killed = oom_kills.filter(|count| *count > 0 && verdict.exit != Exit::OutOfMemory);
            if killed.is_some() {
                audit.note(&Event::LimitHit {
                    limit: Verdict::MEMORY.to_owned(),
                    killed,
                })?;
            }
            if let Some(why) = &verdict.why {
                audit.note(&by_whom(verdict.exit, why))?;
            }
            audit.note(&Event::ExecEnded {
                exec: 0,
                exit: Some(verdict.exit),
                failure: None,
                output_bytes,
            })
        }
        Err(error) => audit.note(&Event::Failed {
            why: error.to_string(),
        }),
    }
}

fn by_whom(exit: Exit, why: &str) -> Event {
    match exit {
        Exit::OutOfMemory | Exit::TimedOut | Exit::OutputLimit => Event::LimitHit {
            limit: why.to_owned(),
            killed: None,
        },
        // The host's own: the kernel has none for what a change set holds.
        Exit::Killed if why.starts_with(Verdict::DISK) => Event::LimitHit {
            limit: why.to_owned(),
            killed: None,
        },
        Exit::Code(_) | Exit::Signal(_) | Exit::Killed => Event::Stopped { by: why.to_owned() },
    }
}

/// Removes a sandbox that has no supervisor yet.
pub(super) async fn after_failure(
    mut boundary: Box<dyn Boundary>,
    folder: SandboxFolder,
    mut audit: AuditLog,
    error: Error,
) -> Error {
    let leftovers = destroy(&mut *boundary).await;
    // The first error is the one to tell; a log or folder that fails too is found by `gc`.
    let _ = audit
        .note(&Event::Failed {
            why: error.to_string(),
        })
        .and_then(|()| audit.finish());
    let _ = folder.finish(Finish {
        exit: None,
        why: Some(error.to_string()),
        oom_kills: None,
        nothing_ran: true,
        problems: Vec::new(),
        leftovers: leftovers.clone(),
    });
    error.with_leftovers(leftovers)
}

/// Tries until nothing is left, a few times.
async fn destroy(boundary: &mut dyn Boundary) -> Vec<Leftover> {
    let mut left = Vec::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        left = match boundary.destroy().await {
            Ok(leftovers) => leftovers,
            Err(error) => vec![unknown_leftover(boundary, &error)],
        };
        if left.is_empty() {
            break;
        }
    }
    left
}
