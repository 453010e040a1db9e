//! Other programs that isolate: which are here, in which version, and whether they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::tool::{self, Tool};

/// An engine answers in milliseconds; one whose daemon hangs may never.
const PATIENCE: Duration = Duration::from_secs(5);
/// A version is a line or two.
const OUTPUT_BYTES: usize = 64 << 10;

/// A program to look for.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// What it is called, as a program.
    pub name: &'static str,
    /// What makes it tell its version, without a daemon.
    version: &'static [&'static str],
    /// What its daemon, if it has one, answers with the daemon's version.
    daemon: Option<&'static [&'static str]>,
    /// Packages that hold it, of Debian and of Fedora.
    pub packages: Option<(&'static str, &'static str)>,
    /// Where it comes from if not from a distribution.
    pub home: &'static str,
}

/// All that are looked for.
pub const ENGINES: [Engine; 10] = [
    Engine {
        daemon: Some(&["version", "--format", "{{.Server.Version}}"]),
        ..engine("docker", "https://docs.docker.com/engine/install/").packaged("docker.io", "moby-engine")
    },
    engine("podman", "https://podman.io").packaged("podman", "podman"),
    engine("runsc", "https://gvisor.dev/docs/user_guide/install/"),
    engine("runc", "https://github.com/opencontainers/runc/releases").packaged("runc", "runc"),
    engine("crun", "https://github.com/containers/crun/releases").packaged("crun", "crun"),
    engine("bwrap", "https://github.com/containers/bubblewrap").packaged("bubblewrap", "bubblewrap"),
    engine("systemd-nspawn", "https://systemd.io").packaged("systemd-container", "systemd-container"),
    engine("qemu-system-x86_64", "https://www.qemu.org/download/")
        .packaged("qemu-system-x86", "qemu-system-x86-core"),
    engine(
        "firecracker",
        "https://github.com/firecracker-microvm/firecracker/releases",
    ),
    Engine {
        version: &["version", "--client", "-o", "json"],
        ..engine("kubectl", "https://kubernetes.io/docs/tasks/tools/")
    },
];

const fn engine(name: &'static str, home: &'static str) -> Engine {
    Engine {
        name,
        version: &["--version"],
        daemon: None,
        packages: None,
        home,
    }
}

impl Engine {
    const fn packaged(mut self, debian: &'static str, fedora: &'static str) -> Self {
        self.packages = Some((debian, fedora));
        self
    }
}

/// What was found of one that is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineFound {
    /// It tells its version; its daemon, if it has one, answers.
    Answers {
        /// The version.
        version: String,
    },
    /// It is here and cannot be used.
    Silent {
        /// The version, where it told one.
        version: Option<String>,
        /// What went wrong.
        why: String,
    },
}

/// Looks for all, at the same time.
pub(super) async fn find() -> BTreeMap<String, EngineFound> {
    let mut asked = tokio::task::JoinSet::new();
    for engine in ENGINES {
        if tool::find(engine.name).is_some() {
            asked.spawn(async move { (engine.name.to_owned(), ask(engine).await) });
        }
    }
    let mut found = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        found.extend(answer);
    }
    found
}

async fn ask(engine: Engine) -> EngineFound {
    let version = match told(engine.name, engine.version).await {
        Ok(version) => version,
        Err(why) => return EngineFound::Silent { version: None, why },
    };
    match engine.daemon {
        None => EngineFound::Answers { version },
        Some(words) => match told(engine.name, words).await {
            Ok(version) => EngineFound::Answers { version },
            Err(why) => EngineFound::Silent {
                version: Some(version),
                why,
            },
        },
    }
}

async fn told(program: &str, words: &[&str]) -> Result<String, String> {
    let tool = words
        .iter()
        .fold(Tool::new(program), |tool, word| tool.option(word))
        .time(PATIENCE)
        .output(OUTPUT_BYTES);
    let output = tool.run().await.map_err(|error| match error {
        Error::Tool { cause, .. } => cause,
        other => other.to_string(),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    version_in(&text).ok_or_else(|| "it tells no version".to_owned())
}

/// The first word that looks like a version: `20.10.24` of `Docker version 20.10.24+dfsg1,
/// build 297e128`. For systemd and its kin a number alone.
fn version_in(text: &str) -> Option<String> {
    let words = || {
        text.split(|letter: char| letter.is_whitespace() || "\",;()".contains(letter))
            .map(|word| word.strip_prefix('v').unwrap_or(word))
    };
    let begins = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
    let dotted = |word: &&str| word.contains('.') && begins(word);
    let whole = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    // gVisor's are `release-20240729.0`.
    let release = words().find_map(|word| word.strip_prefix("release-").filter(begins));
    release
        .or_else(|| words().find(dotted))
        .or_else(|| words().filter(begins).find(whole))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_engines_say() {
        let cases = [
            ("Docker version 20.10.24+dfsg1, build 297e128", "20.10.24+dfsg1"),
            ("podman version 4.3.1", "4.3.1"),
            ("runsc version release-20240729.0\nspec: 1.1.0-rc.1", "20240729.0"),
            ("systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT", "252.38-1~deb12u1"),
            ("QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)", "7.2.17"),
            ("Firecracker v1.17.0\n", "1.17.0"),
            (
                "{\"clientVersion\": {\"major\": \"1\", \"gitVersion\": \"v1.20.2\"}}",
                "1.20.2",
            ),
            ("systemd 252\n", "252"),
        ];
        for (said, version) in cases {
            assert_eq!(version_in(said).as_deref(), Some(version), "{said}");
        }
        assert_eq!(version_in("usage: thing"), None);
    }
}
