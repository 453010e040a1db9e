//! Looking at this host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use stockade_domain::Target;
use stockade_linux::trial::Tried;
use stockade_linux::trial::kvm::Kvm;

use super::observed::{DefaultRun, Observed};
use super::{engines, sources};
use crate::error::{Error, Result};
use crate::tool::Tool;

/// A try takes milliseconds; a guest that is interpreted, some hundred.
const TRIAL_TIME: Duration = Duration::from_secs(5);
/// The default run takes milliseconds; a machine that needs longer than this is not well.
const RUN_TIME: Duration = Duration::from_secs(30);
/// Variables of the caller that a run needs to find its state and the user's systemd.
const PASSED: [&str; 5] = [
    "HOME",
    "USER",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
];

/// Gathers all facts. `program` is this program, started again for each try: as
/// `PROGRAM kernel-trial NAME` it does [`super::trial`] and prints what that returns, as
/// `PROGRAM run` it is Stockade. `target` is what drivers of this host found.
///
/// # Errors
/// The program's own path cannot be read. A try that fails is a fact, not an error.
pub async fn gather(program: &Path, target: Target) -> Result<Observed> {
    let program = std::fs::canonicalize(program)
        .map_err(|error| Error::io(format!("find this program ({})", program.display()), error))?;
    let refused = |why| Tried::unknown(why);
    let (namespaces, overlay, idmapped_mounts, kvm, engines) = tokio::join!(
        ask::<BTreeMap<String, Tried>>(&program, "namespaces"),
        ask(&program, "overlay"),
        ask(&program, "idmapped-mount"),
        ask(&program, "kvm"),
        engines::find(),
    );
    // Alone, because what is tried at the same time would take its time.
    let default_run = default_run(&program).await;
    Ok(Observed {
        system: sources::system(),
        target,
        files: sources::FILES
            .into_iter()
            .map(|path| (path.to_owned(), sources::see(path)))
            .collect(),
        namespaces: namespaces.unwrap_or_else(|why| {
            let kinds = stockade_linux::trial::NAMESPACES;
            kinds
                .map(|(kind, _)| (kind.to_owned(), Tried::unknown(why.clone())))
                .into()
        }),
        overlay: overlay.unwrap_or_else(refused),
        idmapped_mounts: idmapped_mounts.unwrap_or_else(refused),
        cgroups: sources::cgroups(),
        kvm: kvm.unwrap_or_else(|why| Kvm::Unknown { why }),
        cpu_flags: sources::cpu_flags(),
        engines,
        default_run,
        program,
    })
}

/// Has one try done, in a process of its own.
async fn ask<T: DeserializeOwned>(program: &Path, name: &str) -> std::result::Result<T, String> {
    let tool = Tool::new(program)
        .option(sources::TRIAL)
        .option(name)
        .time(TRIAL_TIME);
    let output = tool.run().await.map_err(|error| cause(&error))?;
    sources::outcome(&output.stdout)
}

fn cause(error: &Error) -> String {
    match error {
        Error::Tool { cause, .. } => cause.clone(),
        Error::Timeout { after, .. } => format!("it did not end within {} s", after.as_secs()),
        other => other.to_string(),
    }
}

/// Runs `true` with the default policy, in an empty workspace.
async fn default_run(program: &Path) -> DefaultRun {
    let workspace = match Scratch::new() {
        Ok(workspace) => workspace,
        Err(error) => {
            return DefaultRun::Unknown {
                why: format!("make an empty workspace: {error}"),
            };
        }
    };
    let mut tool = Tool::new(program).time(RUN_TIME);
    for (name, value) in PASSED
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
    {
        tool = tool.variable(*name, value);
    }
    let flags = ["run", "--rm", "--json", "--workspace"];
    let run = flags
        .iter()
        .fold(tool, |tool, flag| tool.option(flag))
        .option(&workspace.0)
        .operand("true");
    match run.run().await {
        Ok(output) => outcome(&output.stderr),
        Err(Error::Timeout { after, .. }) => DefaultRun::Fails {
            why: format!("it did not end within {} s", after.as_secs()),
        },
        Err(error) => DefaultRun::Fails { why: said(&error) },
    }
}

/// What the last line of a run's standard error tells of its end.
fn outcome(stderr: &[u8]) -> DefaultRun {
    #[derive(Deserialize)]
    struct Told {
        driver: String,
        verified: u64,
        controls: u64,
        code: i64,
    }
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().find(|line| line.starts_with('{'));
    match last.map(serde_json::from_str::<Told>) {
        Some(Ok(told)) if told.code == 0 => DefaultRun::Works {
            driver: told.driver,
            verified: told.verified,
            controls: told.controls,
        },
        Some(Ok(told)) => DefaultRun::Fails {
            why: format!("`true` ended with {}", told.code),
        },
        Some(Err(_)) | None => DefaultRun::Unknown {
            why: format!("the run does not tell how it ended: {}", text.trim()),
        },
    }
}

/// What Stockade itself said of its failure, without the words around it.
fn said(error: &Error) -> String {
    let cause = cause(error);
    let text = cause
        .split_once("error: ")
        .map_or(cause.as_str(), |(_, text)| text);
    text.trim().to_owned()
}

/// An empty directory that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let name = format!("stockade-doctor-{}-{}", std::process::id(), now.tv_nsec);
        // Fails if somebody else made one of this name, whoever that was.
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is empty: what the command wrote went elsewhere.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_says_nothing_is_unknown_and_never_works() {
        assert!(matches!(outcome(b""), DefaultRun::Unknown { .. }));
        assert!(matches!(outcome(b"{\"code\": 0}"), DefaultRun::Unknown { .. }));
        let failed = br#"{"driver": "native", "verified": 1, "controls": 2, "code": 1}"#;
        assert!(matches!(outcome(failed), DefaultRun::Fails { .. }));
        let ended = br#"{"driver": "native", "verified": 2, "controls": 2, "code": 0}"#;
        assert!(matches!(outcome(ended), DefaultRun::Works { verified: 2, .. }));
    }
}
