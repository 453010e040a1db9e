//! Where canaries are planted: an own home, state directory and workspace, and a place outside
//! of all views.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::finished::{Finished, finish};
use crate::verdict::Verdict;

/// Where programs of the host are looked for, by probes and inside.
pub const HOST_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the inside half is found from the workspace.
pub const PAYLOAD_INSIDE: &str = "./attack";

/// Directories that are removed with this value.
pub struct Ground {
    root: tempfile::TempDir,
    payload: PathBuf,
    /// Where sandboxes have their state, instead of in this ground.
    state: Option<PathBuf>,
    numbers: Cell<u32>,
}

impl Ground {
    /// Makes the directories, for an inside half that lies in a file.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn new(payload: &Path) -> Verdict<Self> {
        let root = tempfile::Builder::new().prefix("stockade-").tempdir()?;
        for name in ["home", "state", "run", "work", "outside"] {
            let path = root.path().join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            root,
            payload: payload.to_owned(),
            state: None,
            numbers: Cell::new(0),
        })
    }

    /// Lets sandboxes have their state elsewhere (a directory as `XDG_STATE_HOME` names one): what is kept
    /// there for later ones need not be made anew.
    #[must_use]
    pub fn with_state(mut self, state: PathBuf) -> Self {
        self.state = Some(state);
        self
    }

    /// Where sandboxes have their state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.path("state"))
    }

    /// A directory or file of this ground: `home`, `state`, `run`, `work` or `outside`, or below; all of
    /// it for an empty name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The directory that sandboxes have as their workspace.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The inside half, where helpers of the host start it from.
    #[must_use]
    pub fn helper(&self) -> &Path {
        &self.payload
    }

    /// The inside half, put into the workspace when it is asked for.
    #[must_use]
    pub fn payload(&self) -> PathBuf {
        let path = self.work().join(PAYLOAD_INSIDE);
        if !path.exists() {
            // A link: a fresh copy that another thread's child still has open for writing
            // cannot be executed. Whoever executes it sees if it is missing.
            if fs::hard_link(&self.payload, &path).is_err() {
                let _ = fs::copy(&self.payload, &path);
            }
        }
        path
    }

    /// Lets all users of the host reach what is planted: then it is the wall that keeps a sandbox from it, and
    /// not that its ids are others than the planter's.
    ///
    /// # Errors
    /// The modes cannot be changed.
    pub fn let_everybody_in(&self) -> Verdict {
        for name in ["", "home", "outside", "work"] {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// A number that this ground has not given yet.
    #[must_use]
    pub fn number(&self) -> u32 {
        let number = self.numbers.get();
        self.numbers.set(number.saturating_add(1));
        number
    }

    /// Writes a file, with its directories.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Verdict<PathBuf> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Runs the inside half without a sandbox: the control of an attack.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn outside(
        &self,
        wrapper: &[&str],
        variables: &[(String, String)],
        arguments: &[String],
    ) -> Verdict<Finished> {
        let payload = self.payload();
        let mut command = match wrapper.split_first() {
            Some((program, rest)) => {
                let mut command = self.command(Path::new(program));
                command.args(rest).arg(payload);
                command
            }
            None => self.command(&payload),
        };
        command.args(arguments).envs(variables.iter().cloned());
        finish(command, Vec::new(), None)
    }

    /// A program that starts in the workspace with an environment of this ground.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", HOST_PATH)
            .env("LANG", "C.UTF-8");
        command
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.state());
        command
            .env("USER", "somebody")
            .env("TMPDIR", std::env::temp_dir());
        // The user's own service manager hands out cgroups where there is one.
        let runtime = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir());
        command.env("XDG_RUNTIME_DIR", runtime.unwrap_or_else(|| self.path("run")));
        if let Some(bus) = std::env::var_os("DBUS_SESSION_BUS_ADDRESS") {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        open_up(self.root.path());
    }
}

/// Overlay leaves a directory of mode 000, and attacks make some: an ordinary user could not
/// remove them.
fn open_up(directory: &Path) {
    let Ok(found) = directory.symlink_metadata() else {
        return;
    };
    if !found.is_dir() {
        return;
    }
    // What cannot be opened cannot be removed either: it stays, and is seen.
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}
