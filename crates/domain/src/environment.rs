//! The variables that commands inside start with: an allow-list, never an inheritance.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Variables of the host that pass by themselves: how to talk to the terminal and in
/// which language. A trailing `*` stands for any ending.
pub const PASSED_BY_DEFAULT: [&str; 7] = ["TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "LC_*", "TZ"];

/// Longest value that the kernel passes to a program (`MAX_ARG_STRLEN`, the name included).
pub const MAX_VALUE_BYTES: usize = 128 << 10;
/// Longest name.
pub const MAX_NAME_BYTES: usize = 255;
/// Most variables that one policy may name.
pub const MAX_VARIABLES: usize = 1024;
/// Largest `--env-file`.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Names and values in the order in which they are set; names are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Sets a variable, replacing an earlier value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(present, _)| *present == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(present, _)| present == name)
            .map(|(_, value)| value.as_str())
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Applies what a policy says of variables, later over earlier; `host` is what
    /// Stockade itself was started with.
    pub fn apply<'a>(
        &mut self,
        variables: impl IntoIterator<Item = &'a Variable>,
        host: &[(String, String)],
    ) {
        for variable in variables {
            match variable {
                Variable::Set { name, value } => self.set(name, value),
                Variable::Pass(pattern) => self.pass(pattern, host),
            }
        }
    }

    /// Takes over the host's variables that a pattern names.
    pub fn pass(&mut self, pattern: &str, host: &[(String, String)]) {
        for (name, value) in host.iter().filter(|(name, _)| matches(pattern, name)) {
            self.set(name, value);
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// What a policy, `-e` or an `--env-file` says of one variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variable {
    /// Take over the host's value, if it has one. A trailing `*` stands for any ending.
    Pass(String),
    /// Set it.
    Set {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
}

/// A variable that cannot be passed or set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name:?} {why}: {fix}")]
pub struct VariableError {
    /// The name, cut to a printable length.
    pub name: String,
    /// What is wrong.
    pub why: &'static str,
    /// What to write instead.
    pub fix: &'static str,
}

/// A line of an `--env-file` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {cause}")]
pub struct EnvFileError {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub cause: VariableError,
}

impl Variable {
    /// Takes over the host's value.
    ///
    /// # Errors
    /// A pattern that is no name, or that stands for everything.
    pub fn pass(pattern: &str) -> Result<Self, VariableError> {
        let name = pattern.strip_suffix('*').unwrap_or(pattern);
        if pattern == "*" {
            return Err(refuse(
                pattern,
                "would pass every secret of the caller",
                "name the variables, or a beginning such as CARGO_*",
            ));
        }
        check_name(name)?;
        Ok(Self::Pass(pattern.to_owned()))
    }

    /// Sets a value.
    ///
    /// # Errors
    /// A name or value that no program could be started with.
    pub fn set(name: &str, value: &str) -> Result<Self, VariableError> {
        check_name(name)?;
        if name.contains('*') {
            return Err(refuse(
                name,
                "has a * in its name",
                "set each variable by its full name",
            ));
        }
        if value.contains('\0') {
            return Err(refuse(name, "has a NUL byte in its value", "remove it"));
        }
        if name.len() + value.len() + 2 > MAX_VALUE_BYTES {
            return Err(refuse(
                name,
                "is longer than 128 KiB",
                "put the content in a file of the workspace",
            ));
        }
        Ok(Self::Set {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl FromStr for Variable {
    type Err = VariableError;

    /// The grammar of `-e`: `NAME=value` sets, `NAME` passes.
    fn from_str(text: &str) -> Result<Self, VariableError> {
        match text.split_once('=') {
            Some((name, value)) => Self::set(name, value),
            None => Self::pass(text),
        }
    }
}

/// Reads an `--env-file` in Docker's form: a line `NAME=value` sets (the value is taken
/// as it is, quotes included), `NAME` passes, `#` begins a comment line.
///
/// # Errors
/// The first line that cannot be used.
pub fn parse_env_file(text: &str, file: &str) -> Result<Vec<Variable>, EnvFileError> {
    let at = |index: usize, cause| EnvFileError {
        file: file.to_owned(),
        line: u32::try_from(index + 1).unwrap_or(u32::MAX),
        cause,
    };
    if text.len() > MAX_FILE_BYTES {
        return Err(at(
            0,
            refuse("", "file is larger than 1 MiB", "keep only variables in it"),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if variables.len() == MAX_VARIABLES {
            return Err(at(
                index,
                refuse("", "is one of more than 1024 in this file", "split the file"),
            ));
        }
        variables.push(line.parse().map_err(|cause| at(index, cause))?);
    }
    Ok(variables)
}

fn check_name(name: &str) -> Result<(), VariableError> {
    let help = "names are letters, digits and _, for example LANG";
    if name.is_empty() {
        return Err(refuse(name, "has no name", help));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(refuse(name, "has a name of more than 255 bytes", help));
    }
    if name
        .chars()
        .any(|c| c == '=' || c.is_whitespace() || c.is_control())
    {
        return Err(refuse(name, "has a name that no shell could read", help));
    }
    Ok(())
}

fn refuse(name: &str, why: &'static str, fix: &'static str) -> VariableError {
    VariableError {
        name: name.chars().take(40).collect(),
        why,
        fix,
    }
}
