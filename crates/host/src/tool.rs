//! External programs: the one place that starts them. Each gets an empty environment but
//! for what is named, no input but what is given, its own process group, a time limit and a
//! bound on what it may say; when it is not wanted any more, its whole group is killed.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::error::{Error, Result};

/// What a program gets by default.
const DEFAULT_TIME: Duration = Duration::from_secs(30);
const DEFAULT_OUTPUT: usize = 1 << 20;
/// How much of its complaints goes into an error.
const SHOWN: usize = 2000;
/// Where programs are looked for; the user's own `PATH` is not trusted with our rights.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a program of this name is, if it is in the system's directories.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        let seen = std::fs::metadata(path);
        seen.is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0)
    };
    SEARCH_PATH
        .split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(executable)
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct Tool {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    time: Duration,
    output: usize,
    operands: bool,
}

/// What a program that succeeded said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Tool {
    /// A program by its path, or by a name that is looked for in the system's directories.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            input: Vec::new(),
            time: DEFAULT_TIME,
            output: DEFAULT_OUTPUT,
            operands: false,
        }
    }

    /// Adds an option or subcommand: something that we wrote ourselves.
    #[must_use]
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.arguments.push(option.as_ref().to_owned());
        self
    }

    /// Adds an operand: a path or name from elsewhere. A `--` precedes the first, so that
    /// none can pass for an option. No option can follow.
    #[must_use]
    pub fn operand(mut self, operand: impl AsRef<OsStr>) -> Self {
        if !self.operands {
            self.operands = true;
            self.arguments.push("--".into());
        }
        self.arguments.push(operand.as_ref().to_owned());
        self
    }

    /// Sets a variable; there are none but `PATH`, `LC_ALL` and these.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Gives it input.
    #[must_use]
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Limits its time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Limits each of its two outputs.
    #[must_use]
    pub fn output(mut self, bytes: usize) -> Self {
        self.output = bytes;
        self
    }

    /// Runs it to its end. Dropping the future kills it.
    ///
    /// # Errors
    /// [`Error::Tool`] if it does not start, fails, or says too much; [`Error::Timeout`].
    pub async fn run(self) -> Result<ToolOutput> {
        let name = self.program.to_string_lossy().into_owned();
        let mut running = Running::start(&self, &name)?;
        match tokio::time::timeout(self.time, running.finish(&self, &name)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout {
                what: name,
                after: self.time,
            }),
        }
    }
}

/// A program that runs; dropping it kills its process group.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(tool: &Tool, name: &str) -> Result<Self> {
        let mut command = Command::new(&tool.program);
        command
            .args(&tool.arguments)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C.UTF-8")
            .envs(tool.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(if tool.input.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            Error::Tool {
                program: name.to_owned(),
                cause: format!("cannot be started: {error}"),
                remedy: missing.then(|| format!("install {name}")),
            }
        })?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    async fn finish(&mut self, tool: &Tool, name: &str) -> Result<ToolOutput> {
        let broken = |what: &str| Error::Tool {
            program: name.to_owned(),
            cause: what.to_owned(),
            remedy: None,
        };
        let (Some(stdout), Some(stderr)) = (self.child.stdout.take(), self.child.stderr.take()) else {
            return Err(broken("its output was not captured"));
        };
        let stdin = self.child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not want all of its input says so by its exit status.
                let _ = stdin.write_all(&tool.input).await;
            }
        };
        let (stdout, stderr, ()) = tokio::join!(
            read_bounded(stdout, tool.output),
            read_bounded(stderr, tool.output),
            feed
        );
        let failed = |error: std::io::Error| Error::io(format!("read the output of {name}"), error);
        let (Some(stdout), Some(stderr)) = (stdout.map_err(failed)?, stderr.map_err(failed)?) else {
            return Err(broken(&format!("it said more than {} bytes", tool.output)));
        };
        let status = self
            .child
            .wait()
            .await
            .map_err(|error| Error::io(format!("wait for {name}"), error))?;
        if status.success() {
            return Ok(ToolOutput { stdout, stderr });
        }
        let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr })
            .trim()
            .to_owned();
        let from = said.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        Err(broken(&format!(
            "{status}: {}",
            said.get(from..).unwrap_or_default()
        )))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its children too, unless all have ended: then the group is gone, and its number
        // cannot be another's as long as the child was not reaped.
        if self.child.id().is_some()
            && let Some(group) = self.group
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// None: there is more.
async fn read_bounded(from: impl AsyncRead + Unpin, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(bound).read_to_end(&mut bytes).await?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_input_and_only_named_variables() {
        let output = Tool::new("sh")
            .option("-c")
            .option("cat; env | cut -d= -f1 | sort")
            .variable("MINE", "1")
            .input(b"in\n".to_vec())
            .run()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.retain(|line| !matches!(*line, "PWD" | "_" | "SHLVL" | "OLDPWD"));
        assert_eq!(lines, ["in", "LC_ALL", "MINE", "PATH"]);
    }

    #[tokio::test]
    async fn a_name_that_looks_like_an_option_is_none() {
        let output = Tool::new("ls").operand("--version").run().await;
        assert!(output.unwrap_err().to_string().contains("--version"));
    }

    #[tokio::test]
    async fn a_failure_shows_status_and_complaint() {
        let error = Tool::new("sh")
            .option("-c")
            .option("echo why >&2; exit 3")
            .run()
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("why"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_program_says_so() {
        let error = Tool::new("surely-no-such-program").run().await.unwrap_err();
        assert!(error.to_string().contains("install"), "{error}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_its_children() {
        let place = tempfile::tempdir().unwrap();
        let mark = place.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", mark.display());
        let tool = Tool::new("sh")
            .option("-c")
            .option(script)
            .time(Duration::from_millis(700));
        assert!(matches!(tool.run().await, Err(Error::Timeout { .. })));
        let pid: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
        for _ in 0..200 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("process {pid} lives");
    }

    #[tokio::test]
    async fn one_that_says_too_much_is_cut_off() {
        let error = Tool::new("yes").output(1000).run().await.unwrap_err();
        assert!(error.to_string().contains("1000"), "{error}");
    }
}
