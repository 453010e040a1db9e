//! Things that an attack must not reach, planted for it, each with a random value.

mod file;
mod services;
mod socket;
mod victim;
mod world;

pub use file::{FileCanary, TreeCanary};
pub use services::{Kind, Services};
pub use socket::SocketCanary;
pub use victim::{IpcCanary, Victim, everybody_elsewhere};
pub use world::World;

use std::fmt::Write;

use crate::verdict::Verdict;
use crate::wall::Field;

/// What can be seen of an attack.
pub struct Seen {
    /// Its standard output.
    pub output: String,
}

/// Something planted.
pub trait Canary {
    /// The attack's arguments where there is no sandbox. They never hold the random value.
    fn outside(&self) -> Vec<String>;
    /// The attack's arguments inside.
    fn inside(&self) -> Vec<String> {
        self.outside()
    }
    /// How it was reached, if it was.
    fn reached(&mut self, seen: &Seen) -> Option<String>;
    /// Flags that the sandbox gets for it.
    fn flags(&self) -> Vec<String> {
        Vec::new()
    }
    /// Variables of whoever starts the sandbox.
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// A program that starts the sandbox.
    fn launcher(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A random value that nothing else holds.
///
/// # Errors
/// There is no randomness.
pub fn token() -> Verdict<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().fold(String::from("canary-"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// What the output gives away, if it holds the value.
fn told(seen: &Seen, token: &str) -> Option<String> {
    seen.output
        .contains(token)
        .then(|| "its value was read".to_owned())
}

/// The kernel itself is the canary: the payload says `REACHED` only with something that it
/// got from the kernel.
pub struct Proof {
    arguments: Vec<String>,
}

impl Proof {
    /// For an attack without arguments, or with those of another canary.
    pub(crate) fn new() -> Self {
        Self {
            arguments: Vec::new(),
        }
    }

    /// No arguments.
    ///
    /// # Errors
    /// None.
    pub fn plant(_: &Field) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Self::new()))
    }

    /// A random value that has to come back through the kernel.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn with_token(_: &Field) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Self {
            arguments: vec![token()?],
        }))
    }
}

impl Canary for Proof {
    fn outside(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        seen.output
            .lines()
            .find(|line| line.starts_with("REACHED"))
            .map(str::to_owned)
    }
}

/// A secret that the launcher of the sandbox holds.
pub struct LauncherSecret {
    token: String,
    launcher: Vec<String>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    file: Option<FileCanary>,
}

impl LauncherSecret {
    /// In its environment.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn variable(_: &Field) -> Verdict<Box<dyn Canary>> {
        Self::in_variables(&[
            "AWS_SECRET_ACCESS_KEY",
            "OPENAI_API_KEY",
            "SSH_AUTH_SOCK",
            "LD_PRELOADED",
            "A_SECRET",
        ])
    }

    /// In variables that make programs load or run something.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn loaders(_: &Field) -> Verdict<Box<dyn Canary>> {
        Self::in_variables(&[
            "LD_LIBRARY_PATH",
            "BASH_ENV",
            "ENV",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "PERL5OPT",
            "RUBYOPT",
            "NODE_OPTIONS",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_GLOBAL",
            "GIT_EXEC_PATH",
            "JAVA_TOOL_OPTIONS",
        ])
    }

    fn in_variables(names: &[&str]) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let variables = names
            .iter()
            .map(|name| ((*name).to_owned(), format!("/none/{token}")))
            .collect();
        Ok(Box::new(Self {
            token,
            launcher: Vec::new(),
            arguments: Vec::new(),
            variables,
            file: None,
        }))
    }

    /// In an open file, an open directory and a pipe that were not closed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn descriptor(field: &Field) -> Verdict<Box<dyn Canary>> {
        let file = FileCanary::at(field, &format!("outside/open-{}/secret", field.ground.number()))?;
        let directory = file.path().parent().unwrap_or(file.path()).display().to_string();
        let payload = field.ground.helper().display().to_string();
        let path = file.path().display().to_string();
        let launcher = [
            &payload, "launch", "--fd", &path, "--fd", &directory, "--pipe", "--",
        ];
        let launcher = launcher.iter().map(|text| (*text).to_owned()).collect();
        let token = file.token().to_owned();
        Ok(Box::new(Self {
            token,
            launcher,
            arguments: Vec::new(),
            variables: Vec::new(),
            file: Some(file),
        }))
    }

    /// In what is no file: memory, its own process, namespaces, groups.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn special_descriptors(field: &Field) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let payload = field.ground.helper().display().to_string();
        let launcher = [
            &payload,
            "launch",
            "--memory-file",
            &token,
            "--process",
            "--fd",
            "/proc/self/ns/mnt",
            "--fd",
            "/proc/self/ns/user",
            "--fd",
            "/sys/fs/cgroup",
            "--fd",
            "/proc/self",
            "--",
        ];
        let launcher = launcher.iter().map(|text| (*text).to_owned()).collect();
        Ok(Box::new(Self {
            token,
            launcher,
            arguments: Vec::new(),
            variables: Vec::new(),
            file: None,
        }))
    }

    /// In its session keyring.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn key(field: &Field) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let name = format!("stockade-{}", &token[7..19]);
        let payload = field.ground.helper().display().to_string();
        let launcher = [payload.as_str(), "launch", "--key", &name, &token, "--"];
        let launcher = launcher.iter().map(|text| (*text).to_owned()).collect();
        Ok(Box::new(Self {
            token,
            launcher,
            arguments: vec![name],
            variables: Vec::new(),
            file: None,
        }))
    }
}

impl Canary for LauncherSecret {
    fn outside(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let by_file = self.file.as_mut().and_then(|file| file.reached(seen));
        by_file.or_else(|| told(seen, &self.token)).or_else(|| {
            seen.output
                .lines()
                .find(|line| line.starts_with("REACHED"))
                .map(str::to_owned)
        })
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone()
    }

    fn launcher(&self) -> Vec<String> {
        self.launcher.clone()
    }
}
