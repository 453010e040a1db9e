//! How a program ended, and what can be asked of it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::streams::{Streams, feed};
use crate::verdict::{Verdict, broken};

/// Much longer than anything takes: a loaded machine makes a check slow, never wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that has ended.
#[derive(Debug, Default)]
pub struct Finished {
    /// Exit code, or 128 and the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Bytes of standard output: more than are in `stdout` where it was very long.
    pub stdout_total: u64,
    /// Standard error.
    pub stderr: String,
    /// What came through `--status-fd`.
    pub events: Vec<Value>,
    /// Both streams were closed soon after the end.
    pub streams_closed: bool,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Of what was seen of it.
    #[must_use]
    pub fn new(status: ExitStatus, streams: &Streams, events: Vec<Value>, took: Duration) -> Self {
        let streams_closed = streams.drained();
        Self {
            code: status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
                .unwrap_or(-1),
            stdout: streams.output(),
            stdout_total: streams.output_total(),
            stderr: streams.complaint(),
            events,
            streams_closed,
            took,
        }
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both streams as text.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.text(), self.stderr)
    }

    /// Passes on if it ended with a code.
    ///
    /// # Errors
    /// It ended with another.
    pub fn expect(self, code: i32) -> Verdict<Self> {
        if self.code == code {
            return Ok(self);
        }
        broken(format!(
            "exit code {} instead of {code}\nstdout: {}\nstderr: {}",
            self.code,
            self.brief(),
            self.stderr
        ))
    }

    /// Passes on if it ended well and wrote exactly this (white space at the ends aside).
    ///
    /// # Errors
    /// It did not.
    pub fn expect_text(self, text: &str) -> Verdict<Self> {
        let this = self.expect(0)?;
        if this.text().trim() == text {
            return Ok(this);
        }
        broken(format!(
            "wrote {:?} instead of {text:?}\nstderr: {}",
            this.brief(),
            this.stderr
        ))
    }

    /// Passes on if standard error holds all of these.
    ///
    /// # Errors
    /// One is missing.
    pub fn complains(self, texts: &[&str]) -> Verdict<Self> {
        match texts.iter().find(|text| !self.stderr.contains(**text)) {
            None => Ok(self),
            Some(missing) => broken(format!(
                "standard error does not say {missing:?}:\n{}",
                self.stderr
            )),
        }
    }

    /// The event of the end, if there was one.
    #[must_use]
    pub fn ended(&self) -> Option<&Value> {
        self.events.iter().find(|event| event["event"] == "ended")
    }

    /// The cause in the event of the end: `code`, `signal`, `out-of-memory` …
    #[must_use]
    pub fn cause(&self) -> &str {
        self.ended()
            .and_then(|event| event["cause"].as_str())
            .unwrap_or("no ended event")
    }

    /// The id of the sandbox.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.events.iter().find(|event| event["event"] == "started")?["id"].as_str()
    }

    fn brief(&self) -> String {
        self.text().chars().take(2000).collect()
    }
}

/// Runs a program to its end with some input.
///
/// # Errors
/// It does not start, or does not end in time.
pub fn finish(mut command: Command, stdin: Vec<u8>, limit: Option<Duration>) -> Verdict<Finished> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    feed(&mut child, stdin);
    let streams = Streams::of(&mut child);
    let status = wait(&mut child, begun + limit.unwrap_or(PATIENCE))?;
    Ok(Finished::new(status, &streams, Vec::new(), begun.elapsed()))
}

/// Waits for a child; kills it at the deadline.
pub fn wait(child: &mut Child, deadline: Instant) -> Verdict<ExitStatus> {
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            crate::host::kill_tree(child.id());
            child.wait()?;
            return broken("it did not end in time and was killed");
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Events, one JSON object a line; a line that is not complete yet is left out.
pub fn read_events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
