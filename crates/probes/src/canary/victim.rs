//! A process of the host with a secret everywhere that a process can have one, and objects
//! of System V and POSIX IPC.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Canary, Seen, token, told};
use crate::inside::NOT_IN;
use crate::verdict::{Verdict, broken};
use crate::wall::Field;

/// A program of ours that stays and answers questions.
pub(super) struct Helper {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts the payload in one of its helping roles; returns its first line.
    pub(super) fn start(field: &Field, arguments: &[&str], token: &str) -> Verdict<(Self, String)> {
        let mut command = Command::new(field.ground.helper());
        command
            .args(arguments)
            .env_clear()
            .env("VICTIM_SECRET", token)
            .current_dir(field.ground.path("outside"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let Some(stdout) = child.stdout.take() else {
            return broken("the helper has no output");
        };
        let mut helper = Self {
            child,
            answers: BufReader::new(stdout),
        };
        match helper.line() {
            Some(line) if line.starts_with("ready") => Ok((helper, line)),
            other => broken(format!("the helper {arguments:?} did not start: {other:?}")),
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.answers.read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim().to_owned())
    }

    pub(super) fn ask(&mut self) -> Option<String> {
        self.child.stdin.as_mut()?.write_all(b"report\n").ok()?;
        self.line()
    }
}

impl Helper {
    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Closing its input lets it clean up.
        drop(self.child.stdin.take());
        let _ = self.line();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process of the host, of the user who starts the sandbox.
pub struct Victim {
    helper: Helper,
    token: String,
    place: String,
    before: String,
}

impl Victim {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let secret = field
            .ground
            .file(&format!("outside/victim-{}", field.ground.number()), &token)?;
        let secret = secret.display().to_string();
        let (mut helper, place) = Helper::start(field, &["victim", &token, &secret], &token)?;
        let Some(before) = helper.ask() else {
            return broken("the victim does not answer");
        };
        Ok(Box::new(Self {
            helper,
            token,
            place,
            before,
        }))
    }

    /// `T` or `t` in /proc means that somebody stopped or traced it.
    fn is_stopped(&self) -> bool {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.helper.child.id())).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
    }
}

/// Says that all processes may be attacked where they are not this host's; nothing, if that cannot be told.
pub fn everybody_elsewhere() -> String {
    let own = std::fs::read_link("/proc/self/ns/pid");
    own.map_or_else(|_| String::new(), |own| format!("{NOT_IN}{}", own.display()))
}

impl Canary for Victim {
    /// Its process id, and where in its memory the secret is.
    fn outside(&self) -> Vec<String> {
        let place = self
            .place
            .trim_start_matches("ready ")
            .split(' ')
            .map(str::to_owned);
        std::iter::once(self.helper.child.id().to_string())
            .chain(place)
            .collect()
    }

    /// The same, and where all processes may be attacked.
    fn inside(&self) -> Vec<String> {
        self.outside()
            .into_iter()
            .chain([everybody_elsewhere()])
            .collect()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        if let Ok(Some(status)) = self.helper.child.try_wait() {
            return Some(format!("the victim ended: {status}"));
        }
        if self.is_stopped() {
            return Some("the victim was stopped".to_owned());
        }
        if let Some(line) = seen.output.lines().find(|line| line.starts_with("REACHED")) {
            return Some(line.to_owned());
        }
        match self.helper.ask() {
            Some(now) if now == self.before => told(seen, &self.token),
            Some(now) => Some(format!("the victim changed: {} -> {now}", self.before)),
            None => Some("the victim ended".to_owned()),
        }
    }
}

/// Shared memory, a semaphore and message queues with known names.
pub struct IpcCanary {
    _helper: Helper,
    token: String,
    key: String,
}

impl IpcCanary {
    /// Makes them.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let key = u32::from_str_radix(&token[7..14], 16)?.to_string();
        let (helper, _) = Helper::start(field, &["ipc", &key], &token)?;
        Ok(Box::new(Self {
            _helper: helper,
            token,
            key,
        }))
    }
}

impl Canary for IpcCanary {
    fn outside(&self) -> Vec<String> {
        vec![self.key.clone()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        told(seen, &self.token)
    }
}
