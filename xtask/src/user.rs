//! The ordinary user that tests run as a second time: half of Stockade's walls are built
//! differently without root.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Its name.
pub const NAME: &str = "stockade-test";
/// Where it finds programs.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An account of this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// True if this process may install software and make users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The test user, if there is one.
pub fn find() -> Result<Option<User>> {
    let accounts = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    Ok(accounts.lines().find_map(|line| parse(line, NAME)))
}

/// The test user; made if missing (only root can).
pub fn ensure_exists() -> Result<User> {
    if let Some(user) = find()? {
        return Ok(user);
    }
    let status = Command::new("useradd")
        .args([
            "--create-home",
            "--user-group",
            "--shell",
            "/bin/sh",
            "--comment",
            "Stockade tests",
            NAME,
        ])
        .status()
        .context("running useradd (package passwd)")?;
    ensure!(status.success(), "useradd {NAME} failed: {status}");
    find()?.with_context(|| format!("useradd made no user {NAME}"))
}

fn parse(line: &str, name: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [found, _, uid, gid, _, home, _] = fields.as_slice() else {
        return None;
    };
    (*found == name).then_some(())?;
    Some(User {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: PathBuf::from(home),
    })
}

impl User {
    /// The same without a program between, for what is timed; without supplementary groups.
    pub fn directly(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The library drops root's groups along with the ids, and the kernel the capabilities.
        command.uid(self.uid).gid(self.gid);
        self.log_in(&mut command);
        command
    }

    /// A command that runs `program` as this user: its own groups, no capabilities, an
    /// environment as after a login, and nothing of the caller's.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={}", self.uid), format!("--regid={}", self.gid)])
            .args(["--init-groups", "--inh-caps=-all", "--"])
            .arg(program);
        self.log_in(&mut command);
        command
    }

    fn log_in(&self, command: &mut Command) {
        command
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", PATH)
            .env("USER", NAME)
            .env("LOGNAME", NAME)
            .env("SHELL", "/bin/sh")
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.home);
        for (variable, directory) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            command.env(variable, self.home.join(directory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_line_only() {
        let user = parse(
            "stockade-test:x:1001:1002:Tests:/home/stockade-test:/bin/sh",
            NAME,
        )
        .unwrap();
        assert_eq!(
            user,
            User {
                uid: 1001,
                gid: 1002,
                home: "/home/stockade-test".into()
            }
        );
        assert_eq!(parse("root:x:0:0:root:/root:/bin/bash", NAME), None);
        assert_eq!(parse("stockade-test:broken", NAME), None);
    }

    #[test]
    fn nothing_of_the_callers_environment_passes() {
        let user = User {
            uid: 1,
            gid: 1,
            home: "/nowhere".into(),
        };
        let command = user.command(Path::new("/bin/true"));
        let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        assert!(names.contains(&"XDG_STATE_HOME".into()));
        assert!(!names.contains(&"CARGO_HOME".into()));
    }
}
