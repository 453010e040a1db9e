//! A project of its own, for probes of what sandboxes make of their workspace: what they changed is looked
//! at and taken over with the program itself.
//!
//! Its state is in the ground, wherever that of other sandboxes is: nothing of it stays.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::finished::{Finished, finish};
use crate::tree::Tree;
use crate::verdict::{Verdict, broken};
use crate::wall::Field;

/// Longer than a tick of the clock that gives files their times.
const TICK: Duration = Duration::from_millis(25);
/// Exit codes of an `apply` that worked: all that was asked for, or something held back.
const APPLIED: [i32; 2] = [0, 1];

/// A directory that is the workspace of sandboxes.
pub struct Project<'a> {
    field: &'a Field<'a>,
    path: PathBuf,
}

impl<'a> Project<'a> {
    /// Makes it. The inside half is not in it, but shown beside it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(field: &'a Field<'a>) -> Verdict<Self> {
        let number = field.ground.number();
        let path = field.ground.path(&format!("projects/{number}"));
        std::fs::create_dir_all(&path)?;
        Ok(Self { field, path })
    }

    /// One that git takes for a repository without commits.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn repository(field: &'a Field<'a>) -> Verdict<Self> {
        let this = Self::new(field)?;
        this.file(".git/HEAD", "ref: refs/heads/main\n")?;
        this.file(".git/config", "[core]\n\trepositoryformatversion = 0\n")?;
        for directory in ["objects/pack", "refs/heads", "hooks"] {
            std::fs::create_dir_all(this.path.join(".git").join(directory))?;
        }
        Ok(this)
    }

    /// Where it lies, or something in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of it, with its directories.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Verdict<PathBuf> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// Whether a file of it holds a text, or a link leads to one.
    #[must_use]
    pub fn holds(&self, name: &str, text: &str) -> bool {
        let path = self.path.join(name);
        let target = path.read_link().unwrap_or_default();
        let content = std::fs::read(&path).unwrap_or_default();
        target.to_string_lossy().contains(text) || String::from_utf8_lossy(&content).contains(text)
    }

    /// All of it, as a value.
    #[must_use]
    pub fn tree(&self) -> Tree {
        (self.field.wall.reader())(&self.path)
    }

    /// The attack without a sandbox, in this directory: the control.
    ///
    /// # Errors
    /// It does not run to its end.
    pub fn outside(&self, words: &[&str]) -> Verdict<Finished> {
        let mut command = self.command(self.field.ground.helper());
        command.args(words);
        complete("outside", finish(command, Vec::new(), None)?)
    }

    /// The attack in a sandbox whose workspace this is.
    ///
    /// # Errors
    /// There is no sandbox, or the attack does not run to its end.
    pub fn inside(&self, flags: &[&str], words: &[&str]) -> Verdict<Finished> {
        complete("inside", self.try_inside(flags, words)?)
    }

    /// The same, and it may be refused.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn try_inside(&self, flags: &[&str], words: &[&str]) -> Verdict<Finished> {
        let payload = self.field.ground.helper();
        let mut command = self.run(flags);
        command
            .arg("--ro")
            .arg(payload)
            .arg("--")
            .arg(payload)
            .args(words);
        finish(command, Vec::new(), None)
    }

    /// `stockade run` with the flags of every sandbox, without a command yet.
    #[must_use]
    pub fn run(&self, flags: &[&str]) -> Command {
        // What was made before has an earlier time than what the sandbox begins with.
        std::thread::sleep(TICK);
        let mut command = self.command(self.field.wall.program());
        command.args(["run", "-q", "--workspace"]).arg(&self.path);
        command.args(self.field.wall.flags()).args(flags);
        command
    }

    /// The program itself, as its user starts it in this project.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stockade(&self, words: &[&str]) -> Verdict<Finished> {
        let mut command = self.command(self.field.wall.program());
        command.args(words);
        finish(command, Vec::new(), None)
    }

    /// `stockade apply`; something may be held back.
    ///
    /// # Errors
    /// It did not work at all.
    pub fn apply(&self, words: &[&str]) -> Verdict<Finished> {
        let finished = self.stockade(&[&["apply"], words].concat())?;
        if APPLIED.contains(&finished.code) {
            return Ok(finished);
        }
        broken(format!("apply {words:?} did not work: {}", finished.all()))
    }

    /// What `stockade diff` tells of the pending changes.
    ///
    /// # Errors
    /// It did not work.
    pub fn changes(&self) -> Verdict<Vec<Value>> {
        let told = self.stockade(&["diff", "--ignored", "--json"])?.expect(0)?;
        let mut told: Value = serde_json::from_slice(&told.stdout)?;
        match told["changes"].take() {
            Value::Array(changes) => Ok(changes),
            other => broken(format!("diff --json tells no changes: {other}")),
        }
    }

    /// A program of the host that starts here, with the ground's environment and a state of its own.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.field.ground.command(program);
        command
            .current_dir(&self.path)
            .env("XDG_STATE_HOME", self.field.ground.path("state"));
        command
    }
}

/// A sandbox without a command, removed with this value.
pub struct Standing<'a> {
    field: &'a Field<'a>,
    project: &'a Project<'a>,
    name: &'static str,
}

impl<'a> Standing<'a> {
    /// Makes it, with a project as its workspace.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn start(field: &'a Field<'a>, project: &'a Project<'a>, name: &'static str) -> Verdict<Self> {
        let mut command = project.command(field.wall.program());
        command.args(["create", "-q", "--name", name, "--workspace"]);
        command.arg(&project.path).args(field.wall.flags());
        command.arg("--ro").arg(field.ground.helper());
        finish(command, Vec::new(), None)?.expect(0)?;
        Ok(Self { field, project, name })
    }

    /// Runs an attack in it to its end.
    ///
    /// # Errors
    /// It does not run to its end.
    pub fn attack(&self, words: &[&str]) -> Verdict<Finished> {
        let payload = self.field.ground.helper().display().to_string();
        let words = [&["exec", self.name, "--", payload.as_str()], words].concat();
        complete("inside", self.project.stockade(&words)?)
    }

    /// Copies a file of the host into it; it may be refused.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn copy_in(&self, file: &Path) -> Verdict<Finished> {
        let to = format!("{}:/dev/null", self.name);
        self.project.stockade(&["cp", &file.display().to_string(), &to])
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        // Its state goes with the ground, whatever becomes of this.
        let _ = self.project.stockade(&["rm", "--force", self.name]);
    }
}

fn complete(place: &str, finished: Finished) -> Verdict<Finished> {
    if finished.text().lines().any(|line| line == crate::denial::DONE) {
        return Ok(finished);
    }
    broken(format!(
        "{place} the attack did not run to its end (exit {}): {}",
        finished.code,
        finished.all()
    ))
}
