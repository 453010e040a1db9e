//! A project that is a git repository.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use crate::world::World;

pub struct Repository {
    pub world: World,
}

impl Repository {
    /// With one commit on `main` of the files `a` and `b`.
    pub fn new() -> Self {
        let world = World::new();
        fs::write(
            world.path("home").join(".gitconfig"),
            "[user]\nname = Test\nemail = test@example.invalid\n[init]\ndefaultBranch = main\n",
        )
        .expect("settings");
        let repository = Self { world };
        repository.git(&["init", "-q"]);
        repository.world.file("a", "1\n2\n3\n4\n5\n");
        repository.world.file("b", "1\n");
        repository.git(&["add", "."]);
        repository.git(&["commit", "-qm", "first"]);
        repository
    }

    /// Git on the host, as the user runs it.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub fn try_git(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.world.project());
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", self.world.path("home"));
        // The directory of the test may belong to another user than its parent.
        command.env("GIT_CEILING_DIRECTORIES", self.world.path(""));
        command.output().expect("git runs")
    }

    /// A shell script in a sandbox.
    pub fn inside(&self, script: &str) -> String {
        // Files of the host get their times by a clock that moves in ticks.
        std::thread::sleep(Duration::from_millis(25));
        let script = format!("set -e\n{script}");
        let output = self.world.run_with(&["-q"], &["sh", "-c", &script]).output();
        let output = output.expect("it runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        std::thread::sleep(Duration::from_millis(25));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Exit code and all that is said.
    pub fn told(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.world.stockade(arguments).output().expect("it runs");
        let said = self.world.tidy(&output.stdout) + &self.world.tidy(&output.stderr);
        (output.status.code().unwrap_or(-1), said)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.project().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the project")
    }
}
