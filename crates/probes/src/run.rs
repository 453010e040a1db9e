//! A run of the program that makes sandboxes: started, watched, and seen how it ends.

pub use crate::finished::{Finished, PATIENCE, finish};

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::finished;
use crate::ground::{Ground, PAYLOAD_INSIDE};
use crate::streams::{self, Streams};
use crate::verdict::{Verdict, broken};

/// Opens the file of events as descriptor 3 and becomes the program.
const WITH_EVENTS: &str = r#"exec 3>"$0"; exec "$@""#;

/// How long an end that was asked for may take before it is forced.
const ENDING: Duration = Duration::from_secs(20);

/// A run that is being set up.
pub struct Sandbox<'w> {
    program: &'w Path,
    ground: &'w Ground,
    /// Those of every run with its driver.
    base: Vec<String>,
    flags: Vec<OsString>,
    launcher: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    limit: Duration,
    directory: PathBuf,
}

impl<'w> Sandbox<'w> {
    /// With the flags of every run.
    #[must_use]
    pub fn new(program: &'w Path, ground: &'w Ground, base: Vec<String>) -> Self {
        Self {
            program,
            ground,
            base,
            flags: Vec::new(),
            launcher: Vec::new(),
            variables: Vec::new(),
            stdin: Vec::new(),
            limit: PATIENCE,
            directory: ground.work(),
        }
    }

    /// Adds flags of `stockade run`.
    #[must_use]
    pub fn flags<S: Into<OsString> + Clone>(mut self, flags: &[S]) -> Self {
        self.flags.extend(flags.iter().cloned().map(Into::into));
        self
    }

    /// Writes a policy (without its version line) and names it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn policy(mut self, text: &str) -> Verdict<Self> {
        let name = format!("outside/policy-{}.toml", self.ground.number());
        let path = self.ground.file(&name, format!("version = 1\n{text}"))?;
        self.flags.extend(["--policy".into(), path.into()]);
        Ok(self)
    }

    /// Sets a variable of the launcher's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// What the command reads from its standard input, which then ends.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// A program that starts ours: it is put before it.
    #[must_use]
    pub fn launcher<S: Into<OsString> + Clone>(mut self, launcher: &[S]) -> Self {
        self.launcher = launcher.iter().cloned().map(Into::into).collect();
        self
    }

    /// Where it is started, instead of in the workspace.
    #[must_use]
    pub fn directory(mut self, directory: PathBuf) -> Self {
        self.directory = directory;
        self
    }

    /// How long it may take, instead of a minute.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It does not start, or does not end in time.
    pub fn run<S: Into<OsString> + Clone>(self, command: &[S]) -> Verdict<Finished> {
        self.start(command)?.wait()
    }

    /// Runs a script of `/bin/sh` to its end.
    ///
    /// # Errors
    /// It does not start, or does not end in time.
    pub fn shell(self, script: &str) -> Verdict<Finished> {
        self.run(&["sh", "-c", script])
    }

    /// Runs the payload to its end.
    ///
    /// # Errors
    /// It does not start, or does not end in time.
    pub fn attack(self, arguments: &[String]) -> Verdict<Finished> {
        drop(self.ground.payload());
        self.run(&[&[PAYLOAD_INSIDE.to_owned()], arguments].concat())
    }

    /// Starts a command.
    ///
    /// # Errors
    /// It does not start.
    pub fn start<S: Into<OsString> + Clone>(mut self, command: &[S]) -> Verdict<Running> {
        let bytes = std::mem::take(&mut self.stdin);
        let mut running = self.start_open(command)?;
        running.feed(bytes);
        Ok(running)
    }

    /// Starts a command whose standard input stays open until [`Running::feed`].
    ///
    /// # Errors
    /// It does not start.
    pub fn start_open<S: Into<OsString> + Clone>(self, command: &[S]) -> Verdict<Running> {
        let (prepared, events) = self.prepare(command);
        Running::of(prepared, events, self.limit)
    }

    /// The command line, and where its events appear.
    #[must_use]
    pub fn prepare<S: Into<OsString> + Clone>(&self, command: &[S]) -> (Command, PathBuf) {
        let events = self
            .ground
            .path(&format!("outside/events-{}", self.ground.number()));
        let mut prepared = self.ground.command(Path::new("/bin/sh"));
        prepared.current_dir(&self.directory);
        prepared
            .arg("-c")
            .arg(WITH_EVENTS)
            .arg(&events)
            .args(&self.launcher);
        prepared.arg(self.program).args(["run", "--status-fd", "3"]);
        prepared.args(&self.base).args(&self.flags).arg("--");
        prepared.args(command.iter().cloned().map(Into::into).collect::<Vec<OsString>>());
        prepared.envs(self.variables.iter().cloned());
        (prepared, events)
    }
}

/// Starts the inside half without a sandbox, the control of what has to be looked at while it runs.
/// Its standard input stays open until [`Running::feed`].
///
/// # Errors
/// It does not start.
pub fn outside(ground: &Ground, wrapper: &[&str], arguments: &[&str]) -> Verdict<Running> {
    let payload = ground.payload().display().to_string();
    let words: Vec<&str> = wrapper
        .iter()
        .copied()
        .chain([payload.as_str()])
        .chain(arguments.iter().copied())
        .collect();
    let mut command = ground.command(Path::new(words[0]));
    command.args(&words[1..]);
    Running::of(command, PathBuf::new(), PATIENCE)
}

/// A run that has not ended.
pub struct Running {
    child: Child,
    streams: Streams,
    events: PathBuf,
    deadline: Instant,
    started: Instant,
}

impl Running {
    fn of(mut command: Command, events: PathBuf, limit: Duration) -> Verdict<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let streams = Streams::of(&mut child);
        let started = Instant::now();
        Ok(Self {
            child,
            streams,
            events,
            deadline: started + limit,
            started,
        })
    }

    /// The supervisor's process id.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.child.id()
    }

    /// Writes all of standard input and closes it.
    pub fn feed(&mut self, bytes: Vec<u8>) {
        streams::feed(&mut self.child, bytes);
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        finished::read_events(&self.events)
    }

    /// Standard output so far.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.streams.output()
    }

    /// Standard error so far.
    #[must_use]
    pub fn complaint(&self) -> String {
        self.streams.complaint()
    }

    /// Waits until the sandbox stands and the command starts; returns the sandbox's id.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub fn until_started(&mut self) -> Verdict<String> {
        self.until("the sandbox to start", |running| {
            let events = running.events();
            let event = events.iter().find(|event| event["event"] == "started")?;
            Some(event["id"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Waits until standard output holds a text.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub fn until_output(&mut self, text: &str) -> Verdict {
        self.until(&format!("the output {text:?}"), |running| {
            String::from_utf8_lossy(&running.output())
                .contains(text)
                .then_some(())
        })
    }

    /// Waits until something can be seen.
    ///
    /// # Errors
    /// The run ends before, or it takes too long.
    pub fn until<T>(&mut self, what: &str, mut see: impl FnMut(&Self) -> Option<T>) -> Verdict<T> {
        loop {
            // In this order: what is seen at the end counts.
            let ended = self.child.try_wait()?;
            if let Some(seen) = see(self) {
                return Ok(seen);
            }
            if let Some(status) = ended {
                return broken(format!(
                    "ended ({status}) before {what}: {}",
                    self.streams.complaint()
                ));
            }
            if Instant::now() > self.deadline {
                return broken(format!(
                    "waited too long for {what}: {}",
                    self.streams.complaint()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// True while the supervisor runs.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn is_running(&mut self) -> Verdict<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until the supervisor alone has ended; others may hold its streams.
    ///
    /// # Errors
    /// It takes too long.
    pub fn until_killed(&mut self) -> Verdict {
        finished::wait(&mut self.child, self.deadline).map(drop)
    }

    /// Sends a signal to the supervisor.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: rustix::process::Signal) -> Verdict {
        crate::host::signal(self.supervisor(), signal)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It takes too long.
    pub fn wait(mut self) -> Verdict<Finished> {
        let status = finished::wait(&mut self.child, self.deadline)?;
        let events = finished::read_events(&self.events);
        Ok(Finished::new(
            status,
            &self.streams,
            events,
            self.started.elapsed(),
        ))
    }
}

impl Drop for Running {
    /// A supervisor that is asked cleans up; what was killed outright would leave its record behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(rustix::process::Signal::TERM);
            let _ = finished::wait(&mut self.child, Instant::now() + ENDING);
        }
    }
}
