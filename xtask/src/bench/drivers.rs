//! The drivers of this kernel beside each other, as an ordinary user: root gets no landlock.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::Bench;
use super::measure::{Contender, interleaved, median};
use super::rows::Row;
use crate::user::{self, User};

/// Landlock's cold start to that of native.
const BAR: f64 = 0.8;
const TRUE: &str = "/bin/true";
const NATIVE: &[&str] = &["--driver", "native"];
/// With what it does not enforce given up by name.
const LANDLOCK: &[&str] = &[
    "--driver",
    "landlock",
    "--prefer",
    "names-hidden",
    "--prefer",
    "processes-hidden",
    "--prefer",
    "hostname-private",
    "--prefer",
    "second-wall",
];

/// Where an ordinary user measures: with the program, which may lie where that user sees nothing.
struct Home {
    /// Removed at the end.
    root: TempDir,
    /// None where this process is an ordinary user's.
    user: Option<User>,
    program: PathBuf,
}

impl Home {
    fn make(bench: &Bench) -> Result<Self> {
        let user = user::is_root().then(user::ensure_exists).transpose()?;
        let root = tempfile::Builder::new()
            .prefix("stockade-bench-")
            .tempdir_in("/var/tmp")
            .context("making a directory in /var/tmp")?;
        let program = root.path().join("stockade");
        std::fs::copy(&bench.place.program, &program).context("copying the program")?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        for below in ["home", "workspace", "state", "run"] {
            std::fs::create_dir(root.path().join(below))?;
        }
        if let Some(user) = &user {
            for below in ["", "home", "workspace", "state", "run"] {
                chown(root.path().join(below), Some(user.uid), Some(user.gid))?;
            }
        }
        Ok(Self { root, user, program })
    }

    /// `stockade run FLAGS -- /bin/true`
    fn run(&self, flags: &[&str]) -> Command {
        let mut command = match &self.user {
            Some(user) => user.directly(&self.program),
            None => Command::new(&self.program),
        };
        let below = |name: &str| self.root.path().join(name);
        command
            .args(["run", "-q"])
            .args(flags)
            .args(["--", TRUE])
            .current_dir(below("workspace"))
            .env("HOME", below("home"))
            .env("XDG_STATE_HOME", below("state"))
            .env("XDG_RUNTIME_DIR", below("run"));
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command
    }
}

/// Cold starts of both.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let home = std::sync::Arc::new(Home::make(bench)?);
    let contender = |name: &str, flags: &'static [&'static str]| {
        let home = std::sync::Arc::clone(&home);
        Contender::new(name, move || home.run(flags))
    };
    let contenders = [contender("native", NATIVE), contender("landlock", LANDLOCK)];
    let times = interleaved(&contenders, bench.runs, Duration::ZERO)?;
    let [native, landlock] = [0, 1].map(|index| times.get(index).map_or(f64::NAN, |times| median(times)));
    Ok(vec![
        Row::new("native, as an ordinary user", native, "ms"),
        Row::new("landlock, as an ordinary user", landlock, "ms")
            .beside("native", native)
            .at_most(BAR),
    ])
}
