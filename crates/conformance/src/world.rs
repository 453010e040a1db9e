//! The set-up of one behaviour: an own home, state directory and workspace.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use stockade_domain::ControlKind;

use crate::ability::Ability;
use crate::behaviour::Verdict;
use crate::driver::Driver;
use crate::run::{Finished, Sandbox, finish};
use crate::suite::Suite;
use crate::tree::Tree;

/// Where programs of the host are looked for, by the suite and inside.
pub const HOST_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories of one behaviour, removed with it, and the driver that it is about.
pub struct World<'a> {
    suite: &'a Suite,
    driver: &'static Driver,
    /// Beyond the driver's own.
    given_up: Vec<ControlKind>,
    /// In place of the system's directories.
    image: Option<PathBuf>,
    root: tempfile::TempDir,
    numbers: Cell<u32>,
}

impl<'a> World<'a> {
    /// Makes the directories. In a small world, a driver that would bring the system's directories
    /// gets an image.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn new(suite: &'a Suite, driver: &'static Driver, small: bool) -> Verdict<Self> {
        let image = match driver.brings && small {
            true => Some(suite.image()?.to_owned()),
            false => None,
        };
        let root = tempfile::Builder::new().prefix("stockade-").tempdir()?;
        for name in ["home", "state", "run", "work", "outside"] {
            let path = root.path().join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        if driver.brings && !small {
            suite.kept().lend(&root.path().join("state"))?;
        }
        Ok(Self {
            suite,
            driver,
            given_up: Vec::new(),
            image,
            root,
            numbers: Cell::new(0),
        })
    }

    /// What all behaviours share.
    #[must_use]
    pub fn suite(&self) -> &'a Suite {
        self.suite
    }

    /// The driver that this world is about.
    #[must_use]
    pub fn driver(&self) -> &'static Driver {
        self.driver
    }

    /// Lets every run of this world do without a control, in favour of what it takes away.
    #[must_use]
    pub fn giving_up(mut self, kind: ControlKind) -> Self {
        self.given_up.push(kind);
        self
    }

    /// Whether programs can do something with the driver, with or without a control.
    #[must_use]
    pub fn offers(&self, ability: Ability) -> bool {
        self.driver.lack(ability).is_none()
    }

    /// How a directory of the host is read that sandboxes are shown.
    #[must_use]
    pub fn reader(&self) -> fn(&Path) -> Tree {
        if self.driver.brings {
            Tree::whatever_names
        } else {
            Tree::of
        }
    }

    /// The flags of every run. Scripts find them in `$RUN_FLAGS`.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        self.flags_but(None)
    }

    fn flags_but(&self, required: Option<ControlKind>) -> Vec<String> {
        let more = self.given_up.iter();
        let more = more.flat_map(|kind| ["--prefer".to_owned(), kind.name().to_owned()]);
        let image = self.image.iter();
        let image = image.flat_map(|image| ["--image".to_owned(), image.display().to_string()]);
        let own = self.driver.flags(required).into_iter();
        own.chain(more).chain(image).collect()
    }

    /// A directory or file of this world: `home`, `state`, `run`, `work` or `outside`, or below.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The directory that sandboxes have as their workspace.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The payload, put into the workspace when it is asked for.
    #[must_use]
    pub fn payload(&self) -> PathBuf {
        let path = self.path("work/attack");
        if !path.exists() {
            // A link: a fresh copy that another thread's child still has open for writing
            // cannot be executed. Whoever executes it sees if it is missing.
            if fs::hard_link(self.suite.payload(), &path).is_err() {
                let _ = fs::copy(self.suite.payload(), &path);
            }
        }
        path
    }

    /// A number that this world has not given yet.
    #[must_use]
    pub fn number(&self) -> u32 {
        let number = self.numbers.get();
        self.numbers.set(number.saturating_add(1));
        number
    }

    /// Writes a file of this world, with its directories.
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

    /// The payload as programs inside find it: by a path from the workspace, which may be
    /// somewhere else than outside.
    #[must_use]
    pub fn payload_inside(&self) -> String {
        drop(self.payload());
        "./attack".to_owned()
    }

    /// A sandbox that is to be started.
    #[must_use]
    pub fn sandbox(&self) -> Sandbox<'_> {
        Sandbox::new(self, self.flags())
    }

    /// A sandbox that is to be refused: a control that the driver does not have is not given up.
    #[must_use]
    pub fn requiring(&self, kind: ControlKind) -> Sandbox<'_> {
        Sandbox::new(self, self.flags_but(Some(kind)))
    }

    /// Runs a command in a sandbox of the default policy.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn run(&self, command: &[&str]) -> Verdict<Finished> {
        self.sandbox().run(command)
    }

    /// Runs a script of `/bin/sh` in a sandbox of the default policy.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn shell(&self, script: &str) -> Verdict<Finished> {
        self.sandbox().run(&["sh", "-c", script])
    }

    /// Runs the program under test with arguments of any kind.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stockade(&self, arguments: &[&str]) -> Verdict<Finished> {
        let mut command = self.command(self.suite.program());
        command.args(arguments);
        finish(command, Vec::new(), None)
    }

    /// Runs the payload without a sandbox: the control of an attack.
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

    /// A program that starts in the workspace with this world's environment.
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
            .env("XDG_STATE_HOME", self.path("state"));
        command
            .env("USER", "somebody")
            .env("TMPDIR", std::env::temp_dir())
            .env("RUN_FLAGS", self.flags().join(" "));
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

impl Drop for World<'_> {
    fn drop(&mut self) {
        if self.driver.brings {
            self.suite.kept().take_back(&self.path("state"));
        }
        // Cgroups of killed supervisors stay until somebody removes them: while the record of
        // their sandbox is there.
        let sandboxes = self.path("state/stockade/sandboxes");
        if sandboxes.read_dir().is_ok_and(|mut all| all.next().is_some()) {
            let _ = self.stockade(&["gc"]);
        }
        open_up(self.root.path());
    }
}

/// Overlay leaves a directory of mode 000, and tests make some: an ordinary user could not
/// remove them.
fn open_up(directory: &Path) {
    let Ok(found) = directory.symlink_metadata() else {
        return;
    };
    if !found.is_dir() {
        return;
    }
    // What cannot be opened cannot be removed either: the next line of the test says so.
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}
