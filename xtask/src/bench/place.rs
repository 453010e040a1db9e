//! Where measuring happens: a workspace and a state directory of its own, far from the
//! user's.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a sandbox may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// The directories and the program.
#[derive(Clone)]
pub struct Place {
    /// Removed with all that is in it when nobody measures any more.
    root: Arc<TempDir>,
    /// The release program.
    pub program: PathBuf,
}

impl Place {
    /// Makes the directories.
    pub fn make(program: PathBuf) -> Result<Self> {
        // Not below /tmp: that may be memory, and sandboxes have one of their own there.
        let root = tempfile::Builder::new()
            .prefix("stockade-bench-")
            .tempdir_in("/var/tmp")
            .context("making a directory in /var/tmp")?;
        let place = Self {
            root: Arc::new(root),
            program,
        };
        for below in ["workspace", "state", "run"] {
            std::fs::create_dir(place.root.path().join(below))?;
        }
        Ok(place)
    }

    /// The user's directory, as sandboxes see it.
    pub fn workspace(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    /// A directory for other files.
    pub fn scratch(&self) -> &Path {
        self.root.path()
    }

    /// Where `stockade` keeps its state.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state/stockade")
    }

    /// `stockade` with these arguments, in the workspace, with a state of its own.
    pub fn stockade(&self, arguments: &[&str]) -> Command {
        let mut command = self.outside(&self.program);
        command.args(arguments);
        command
    }

    /// `stockade run FLAGS -- COMMAND`.
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Command {
        self.stockade(&[&["run"], flags, &["--"], command].concat())
    }

    /// Any program, under the same circumstances.
    pub fn outside(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.workspace())
            .env("XDG_STATE_HOME", self.root.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.root.path().join("run"));
        command
    }
}

/// A sandbox that lives until it is dropped.
pub struct Live {
    /// The supervisor's process.
    pub shim: Child,
}

impl Live {
    /// Starts one and waits until its command runs.
    pub fn start(place: &Place, name: &str) -> Result<Self> {
        let mut command = place.run(&["--name", name], &["/bin/sh", "-c", "echo up; exec sleep 3600"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut live = Self {
            shim: command.spawn().context("starting a sandbox that stays")?,
        };
        let out = live.shim.stdout.take().context("its standard output is a pipe")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if line.trim() == "up" {
            return Ok(live);
        }
        let mut complaint = String::new();
        if let Some(mut err) = live.shim.stderr.take() {
            // It has ended, or it would have said "up".
            std::io::Read::read_to_string(&mut err, &mut complaint)?;
        }
        bail!("a sandbox that should stay did not come up: {}", complaint.trim())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Asked to end, it cleans up after itself; what hangs is killed, and gc does the rest.
        if let Some(shim) = i32::try_from(self.shim.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(shim, Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.shim.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PATIENCE / 1000);
        }
        let _ = self.shim.kill();
        let _ = self.shim.wait();
    }
}
