//! Creating and destroying.

use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::protocol::{MAX_SANDBOXES, Problem, params};
use super::server::{Outcome, Shared};
use crate::service::detached::{MAX_LINE, Up, supervisor};
use crate::service::{inspect as details, sandboxes};

/// Bytes of what a supervisor says that could not do its work.
const MAX_COMPLAINT: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    /// Flags of `stockade create`.
    #[serde(default)]
    flags: Vec<String>,
    /// It outlives this connection, and its record and changes stay when it ends.
    #[serde(default)]
    keep: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    sandbox: String,
}

/// A place among those that may exist at once.
struct Place<'a>(&'a Shared);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Result<Self, Problem> {
        let mut state = shared.lock();
        if state.held.len() + state.creating >= MAX_SANDBOXES {
            return Err(Problem::busy(format!(
                "{MAX_SANDBOXES} sandboxes were created here: destroy some"
            )));
        }
        state.creating += 1;
        Ok(Self(shared))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().creating -= 1;
    }
}

pub async fn create(shared: &Shared, value: Value) -> Outcome {
    let asked: Create = params(value)?;
    let _place = Place::take(shared)?;
    let own = if asked.keep { None } else { Some("--rm") };
    let words = ["create"]
        .into_iter()
        .chain(own)
        .chain(asked.flags.iter().map(String::as_str));
    let (up, notes) = start(words).await?;
    if !asked.keep {
        let holder = sandboxes::connect(&up.id).await?.hold().await?;
        shared.lock().held.insert(up.id.clone(), holder);
    }
    Ok(json!({
        "sandbox": up.id,
        "name": up.sandbox,
        "driver": up.driver,
        "verified": up.verified,
        "controls": up.controls,
        "notes": notes,
    }))
}

/// Starts a supervisor and waits until its sandbox stands.
async fn start(words: impl Iterator<Item = &str>) -> Result<(Up, Vec<String>), Problem> {
    let failed = |error: std::io::Error| Problem::from(crate::failure::Failure::NoSupervisor(error));
    let mut child = tokio::process::Command::from(supervisor(words))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut line = String::new();
    let mut complaint = Vec::new();
    let mut said = BufReader::new(stdout.take(MAX_LINE));
    let mut complained = stderr.take(MAX_COMPLAINT);
    // Both end when the sandbox stands, or the supervisor is gone.
    let (told, _) = tokio::join!(said.read_line(&mut line), complained.read_to_end(&mut complaint));
    told.map_err(failed)?;
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    if let Ok(up) = serde_json::from_str::<Up>(&line) {
        // It is not waited for: it outlives us where that was asked for.
        return Ok((up, complaint.lines().map(str::to_owned).collect()));
    }
    let code = child
        .wait()
        .await
        .map_err(failed)?
        .code()
        .filter(|code| *code != 0);
    Err(Problem {
        kind: "not-created",
        code: code.unwrap_or(125),
        message: complaint.trim_end().to_owned(),
    })
}

pub async fn destroy(shared: &Shared, value: Value) -> Outcome {
    let Named { sandbox } = params(value)?;
    sandboxes::remove(&sandbox, true).await?;
    shared.lock().held.remove(&sandbox);
    Ok(json!({}))
}

pub fn list() -> Outcome {
    let (all, unreadable) = sandboxes::list()?;
    let unreadable: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
    Ok(json!({ "sandboxes": all, "unreadable": unreadable }))
}

pub async fn inspect(value: Value) -> Outcome {
    let Named { sandbox } = params(value)?;
    let details = details::inspect(&sandbox).await?;
    serde_json::to_value(details).map_err(|error| Problem::new("failed", error.to_string()))
}
