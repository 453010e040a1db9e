//! What compilation needs to know of the process and user it runs for.

use std::path::{Path, PathBuf};

use stockade_domain::policy::protect;

use super::resolve::{Kind, Resolved, resolve};
use crate::layers::LayerFile;

/// Home directory inside where the host's cannot be used (`HOME` is unset, `/`, `/tmp` …).
const FALLBACK_HOME: &str = "/home/user";

/// Who the workload is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
}

/// Says who the workload is inside, from its workspace, if it has one. That is the driver's to
/// say: the file view only tells it to programs, in /etc/passwd.
pub type Who<'a> = &'a dyn Fn(Option<&Path>) -> std::io::Result<Identity>;

/// The process and user that a policy is compiled for, as data.
#[derive(Clone, Debug)]
pub struct Context {
    /// The current directory, without symlinks.
    pub cwd: PathBuf,
    /// The host's variables.
    pub variables: Vec<(String, String)>,
    /// Where Stockade keeps its state, which is never shown.
    pub state_dir: Option<PathBuf>,
    /// The program that runs, with which commands inside may ask for checkpoints.
    pub program: Option<PathBuf>,
    /// Files that say what the next run may do: never writable in place.
    pub policy_files: Vec<PathBuf>,
}

impl Context {
    /// Of this process. Variables that are not UTF-8 are left out: they could not pass.
    ///
    /// # Errors
    /// The current directory is gone or cannot be read.
    pub fn of_process(state_dir: Option<PathBuf>) -> std::io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            cwd: std::env::current_dir()?,
            variables,
            state_dir,
            program: std::env::current_exe().ok(),
            policy_files: Vec::new(),
        })
    }

    /// Keeps files that were read as policies from being written in place.
    #[must_use]
    pub fn with_policies(mut self, files: &[LayerFile]) -> Self {
        let absolute = |file: &LayerFile| std::path::absolute(&file.path).ok();
        self.policy_files = files.iter().filter_map(absolute).collect();
        self
    }

    /// A variable of the host.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(present, _)| present == name)
            .map(|(_, value)| value.as_str())
    }

    /// The user's home directory, if it is one: not `/`, not a directory shared by all.
    pub(super) fn host_home(&self) -> Option<Resolved> {
        let home = Path::new(self.variable("HOME")?);
        if !home.is_absolute() {
            return None;
        }
        let resolved = resolve(home).ok()?;
        let usable = resolved.kind == Kind::Directory
            && protect::refuse_source(&resolved.real, true, true, None).is_none();
        usable.then_some(resolved)
    }

    pub(super) fn home_inside(&self, host_home: Option<&Resolved>) -> PathBuf {
        host_home.map_or_else(|| PathBuf::from(FALLBACK_HOME), |home| home.real.clone())
    }
}
