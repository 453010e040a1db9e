//! Builds through cargo and finds what came out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::process::{self, Stream};
use crate::tree::Tree;

/// A cold build on two busy cores takes minutes, not more.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// A program that cargo built.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its package's directory.
    pub package: PathBuf,
    /// The target's name.
    pub name: String,
    /// True for an integration test (a file below `tests/`).
    pub integration: bool,
    /// True if it was built to run tests.
    pub test: bool,
    /// Where it lies.
    pub path: PathBuf,
}

/// Runs `cargo` with arguments that build, and lists the programs.
pub fn programs(tree: &Tree, arguments: &[&str], log: &str) -> Result<Vec<Program>> {
    let mut command = tree.cargo();
    command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics");
    let mut built = Vec::new();
    let mut complaints = Vec::new();
    let log = tree.logs()?.join(format!("{log}.log"));
    let finished = process::run(&mut command, &log, LIMIT, &mut |stream, line| match stream {
        Stream::Out => built.extend(program(line)),
        Stream::Err => complaints.push(line.to_owned()),
    })?;
    match finished.problem() {
        None => Ok(built),
        Some(problem) => {
            let shown = complaints.iter().filter(|line| !is_progress(line)).take(60);
            shown.for_each(|line| println!("    {line}"));
            bail!("cargo {}: {problem}", arguments.join(" "))
        }
    }
}

/// The release program that users get.
pub fn release(tree: &Tree) -> Result<PathBuf> {
    let built = programs(
        tree,
        &[
            "build",
            "--release",
            "-p",
            "stockade",
            "-p",
            "stockade-probes",
            "--bins",
        ],
        "build-release",
    )?;
    let program = built
        .into_iter()
        .find(|program| program.name == "stockade" && !program.test);
    Ok(program.context("cargo built no program named stockade")?.path)
}

/// Every test program of the workspace.
pub fn tests(tree: &Tree) -> Result<Vec<Program>> {
    let built = programs(tree, &["test", "--workspace", "--no-run"], "build-tests")?;
    Ok(built.into_iter().filter(|program| program.test).collect())
}

/// True for cargo's lines that only say what it is doing.
pub fn is_progress(line: &str) -> bool {
    let progress = [
        "Compiling",
        "Checking",
        "Downloading",
        "Downloaded",
        "Updating",
        "Locking",
        "Fresh",
        "Blocking",
    ];
    progress.iter().any(|word| line.trim_start().starts_with(word))
}

fn program(line: &str) -> Option<Program> {
    let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str::<Message>(line) else {
        return None;
    };
    from_artifact(&artifact)
}

fn from_artifact(artifact: &Artifact) -> Option<Program> {
    let path = artifact.executable.as_ref()?.as_std_path().to_path_buf();
    let integration = artifact.target.kind.contains(&TargetKind::Test);
    let package = artifact
        .manifest_path
        .parent()
        .map(|path| path.as_std_path().to_path_buf());
    Some(Program {
        package: package.unwrap_or_else(|| Path::new("/").to_path_buf()),
        name: artifact.target.name.clone(),
        integration,
        // An own harness (libtest-mimic) is built without the test profile.
        test: artifact.profile.test || integration,
        path,
    })
}

/// Builds an example of the library in release form and tells where it is.
pub fn example(tree: &Tree, package: &str, name: &str) -> Result<PathBuf> {
    let built = programs(
        tree,
        &["build", "--release", "-p", package, "--example", name],
        "build-example",
    )?;
    let program = built.into_iter().find(|program| program.name == name);
    Ok(program
        .with_context(|| format!("cargo built no example named {name}"))?
        .path)
}
