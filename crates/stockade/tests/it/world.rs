//! A world for one test: its own home, state directory and project.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct World {
    root: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["home", "state", "project"] {
            std::fs::create_dir(root.path().join(name)).expect("a directory");
        }
        Self { root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// Writes a file of the project.
    pub fn file(&self, name: &str, content: &str) {
        std::fs::write(self.project().join(name), content).expect("a file");
    }

    /// The program under test, with arguments, started in the project.
    pub fn stockade(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// `stockade run -- …`
    pub fn run(&self, words: &[&str]) -> Command {
        self.run_with(&[], words)
    }

    /// `stockade run FLAGS -- …`
    pub fn run_with(&self, flags: &[&str], words: &[&str]) -> Command {
        self.stockade(&[&["run"], flags, &["--"], words].concat())
    }

    /// An interactive shell of the host with job control.
    pub fn host_shell(&self) -> Command {
        let mut command = Command::new("bash");
        // Without line editing the shell leaves the terminal as commands find it.
        command.args(["--norc", "--noprofile", "--noediting", "-i"]);
        self.prepare(&mut command);
        command
    }

    pub fn program(&self) -> &'static str {
        env!("CARGO_BIN_EXE_stockade")
    }

    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.project());
        command.env_clear();
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"));
        command.env("TERM", "xterm").env("LANG", "C.UTF-8");
    }

    /// Text with the names of this test's directories replaced.
    pub fn tidy(&self, text: &[u8]) -> String {
        let root = self.root.path().to_str().expect("UTF-8");
        String::from_utf8_lossy(text).replace(root, "[world]")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Cgroups of killed supervisors stay until somebody removes them.
        let sandboxes = self.path("state/stockade/sandboxes");
        if sandboxes.read_dir().is_ok_and(|mut all| all.next().is_some()) {
            let _ = self.stockade(&["gc"]).output();
        }
    }
}

/// True if a directory exists and holds nothing.
pub fn is_empty_directory(path: &Path) -> bool {
    path.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}
