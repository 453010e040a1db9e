//! The set-up of one behaviour: an own home, state directory and workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use stockade_domain::ControlKind;
use stockade_probes::ground::PAYLOAD_INSIDE;
use stockade_probes::{Field, Ground, Setting, Verdict, Wall};

use crate::ability::Ability;
use crate::driver::Driver;
use crate::suite::Suite;
use crate::tree::Tree;
use stockade_probes::run::Sandbox;
use stockade_probes::{Finished, finish};

pub use stockade_probes::ground::HOST_PATH;

/// Directories of one behaviour, removed with it, and the driver that it is about.
pub struct World<'a> {
    suite: &'a Suite,
    driver: &'static Driver,
    /// Beyond the driver's own.
    given_up: Vec<ControlKind>,
    /// In place of the system's directories.
    image: Option<PathBuf>,
    ground: Ground,
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
        let ground = Ground::new(suite.payload())?;
        if driver.brings && !small {
            suite.kept().lend(&ground.path("state"))?;
        }
        Ok(Self {
            suite,
            driver,
            given_up: Vec::new(),
            image,
            ground,
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
        self.ground.path(name)
    }

    /// The directory that sandboxes have as their workspace.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The payload, put into the workspace when it is asked for.
    #[must_use]
    pub fn payload(&self) -> PathBuf {
        self.ground.payload()
    }

    /// A number that this world has not given yet.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.ground.number()
    }

    /// Writes a file of this world, with its directories.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Verdict<PathBuf> {
        self.ground.file(name, content)
    }

    /// What probes need of it.
    #[must_use]
    pub fn field(&self) -> Field<'_> {
        Field {
            ground: &self.ground,
            wall: self,
        }
    }

    /// The payload as programs inside find it: by a path from the workspace, which may be
    /// somewhere else than outside.
    #[must_use]
    pub fn payload_inside(&self) -> String {
        drop(self.payload());
        PAYLOAD_INSIDE.to_owned()
    }

    /// A sandbox that is to be started.
    #[must_use]
    pub fn sandbox(&self) -> Sandbox<'_> {
        self.prepared(self.flags())
    }

    /// A sandbox that is to be refused: a control that the driver does not have is not given up.
    #[must_use]
    pub fn requiring(&self, kind: ControlKind) -> Sandbox<'_> {
        self.prepared(self.flags_but(Some(kind)))
    }

    fn prepared(&self, flags: Vec<String>) -> Sandbox<'_> {
        let sandbox = Sandbox::new(self.suite.program(), &self.ground, flags);
        sandbox.variable("RUN_FLAGS", self.flags().join(" "))
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
        self.ground.outside(wrapper, variables, arguments)
    }

    /// A program that starts in the workspace with this world's environment.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.ground.command(program);
        command.env("RUN_FLAGS", self.flags().join(" "));
        command
    }
}

impl Wall for World<'_> {
    fn program(&self) -> &Path {
        self.suite.program()
    }

    fn flags(&self) -> Vec<String> {
        World::flags(self)
    }

    fn attack(&self, setting: &Setting, arguments: &[String]) -> Verdict<Finished> {
        let mut sandbox = self.sandbox().flags(&setting.flags).launcher(&setting.launcher);
        for (name, value) in &setting.variables {
            sandbox = sandbox.variable(name, value);
        }
        sandbox.attack(arguments)
    }

    fn reader(&self) -> fn(&Path) -> Tree {
        World::reader(self)
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
    }
}
