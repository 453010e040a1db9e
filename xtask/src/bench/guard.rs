//! The timed program must hold its wall. Each attack first succeeds outside: a canary
//! that nobody can read, or a program that is missing inside, proves nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use super::place::Place;

/// Makes every deny test, each with its controls; says which.
pub fn check(place: &Place) -> Result<Vec<&'static str>> {
    tools_work_inside(place)?;
    let canary = Canary::plant()?;
    let file = canary
        .file
        .to_str()
        .context("the home directory's path is not UTF-8")?;
    let bystander = Bystander::start()?;
    let signal = format!("kill -0 {}", bystander.child.id());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("listening on the loopback")?;
    let port = listener.local_addr()?.port();
    let connect = format!("import socket; socket.create_connection(('127.0.0.1', {port}), 5).close()");
    let mut attacks = vec![
        (
            "reading a file in the home directory",
            vec!["/bin/cat", file],
            Some(canary.value.as_str()),
        ),
        ("signalling a host process", vec!["/bin/sh", "-c", &signal], None),
    ];
    if has_python(place) {
        attacks.push((
            "connecting to a port of the host",
            vec!["python3", "-c", &connect],
            None,
        ));
    }
    for (what, command, secret) in &attacks {
        denied(place, what, command, *secret)?;
    }
    Ok(attacks.into_iter().map(|(what, ..)| what).collect())
}

/// Succeeds outside, fails inside, and tells nothing.
fn denied(place: &Place, what: &str, command: &[&str], secret: Option<&str>) -> Result<()> {
    let (program, arguments) = command.split_first().context("an attack has a program")?;
    let mut outside = place.outside(Path::new(program));
    outside.args(arguments);
    let control = output(&mut outside)?;
    ensure!(
        control.status.success(),
        "{what} fails outside as well: the test shows nothing"
    );
    if let Some(secret) = secret {
        ensure!(
            tells(&control, secret),
            "{what} does not give the canary outside: the test shows nothing"
        );
    }
    let inside = output(&mut place.run(&[], command))?;
    ensure!(!inside.status.success(), "{what} SUCCEEDS inside the sandbox");
    ensure!(
        inside.status.code() != Some(125),
        "{what}: no sandbox was made: {}",
        said(&inside)
    );
    ensure!(
        secret.is_none_or(|secret| !tells(&inside, secret)),
        "{what} GIVES THE CANARY inside the sandbox"
    );
    Ok(())
}

/// The same programs do work inside, on what is allowed.
fn tools_work_inside(place: &Place) -> Result<()> {
    let file = place.workspace().join("allowed");
    std::fs::write(&file, "allowed")?;
    let file = file.to_str().context("the workspace's path is not UTF-8")?;
    let read = output(&mut place.run(&[], &["/bin/cat", file]))?;
    ensure!(
        read.status.success() && tells(&read, "allowed"),
        "cat does not work inside: {}",
        said(&read)
    );
    let signal = output(&mut place.run(&[], &["/bin/sh", "-c", "kill -0 $$"]))?;
    ensure!(
        signal.status.success(),
        "kill does not work inside: {}",
        said(&signal)
    );
    Ok(())
}

/// True if python3 works inside, where it could connect if the network were open.
fn has_python(place: &Place) -> bool {
    output(&mut place.run(&[], &["python3", "-c", "import socket"]))
        .is_ok_and(|output| output.status.success())
}

fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command:?}"))
}

fn tells(output: &Output, secret: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(secret)
}

fn said(output: &Output) -> String {
    format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// A file in the home directory, with a value that nobody can guess.
struct Canary {
    file: PathBuf,
    value: String,
    /// Holds the file; removed at the end.
    _directory: tempfile::TempDir,
}

impl Canary {
    fn plant() -> Result<Self> {
        let home = std::env::home_dir().context("no home directory is known")?;
        let directory = tempfile::Builder::new()
            .prefix(".stockade-bench-")
            .tempdir_in(&home)
            .with_context(|| format!("planting a canary in {}", home.display()))?;
        let value = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?
            .trim()
            .to_owned();
        let file = directory.path().join("canary");
        std::fs::write(&file, &value)?;
        Ok(Self {
            file,
            value,
            _directory: directory,
        })
    }
}

/// A process outside that does nothing.
struct Bystander {
    child: std::process::Child,
}

impl Bystander {
    fn start() -> Result<Self> {
        Ok(Self {
            child: Command::new("sleep")
                .arg("3600")
                .spawn()
                .context("starting sleep")?,
        })
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
