//! What is known of a sandbox, as every process may read it. Its shim alone writes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stockade_domain::Exit;
use stockade_domain::spec::{Limits, Network};

use super::process::ProcessRef;
use crate::driver::{Leftover, Record};

/// Newest version of `status.json` that this program writes and reads.
pub(crate) const STATUS_VERSION: u32 = 1;

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The wall is being built: what exists bears the id, nothing runs yet.
    Creating,
    /// Commands run.
    Running,
    /// It is over; only what was asked to be kept is there.
    Ended,
}

/// What is known of a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this form.
    pub version: u32,
    /// The sandbox's id; all that is made for it bears it.
    pub id: String,
    /// The name it was given.
    pub name: Option<String>,
    /// The driver that builds it.
    pub driver: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its supervisor.
    pub shim: ProcessRef,
    /// The first command.
    pub command: Vec<String>,
    /// The user's directory.
    pub workspace: Option<PathBuf>,
    /// The directory of `changes/` in which changes are kept apart.
    pub change_set: Option<String>,
    /// The changes are thrown away at the end.
    pub discard_changes: bool,
    /// This record stays when the sandbox has ended.
    pub keep: bool,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Milliseconds since the machine was started, of the same moment; none from a program that did not note it.
    #[serde(default)]
    pub created_boot_ms: Option<u64>,
    /// What files made at that moment bear, in milliseconds since 1970; none from a program
    /// that did not note it.
    #[serde(default)]
    pub stamp_ms: Option<u64>,
    /// Milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// How its first command ended.
    pub exit: Option<Exit>,
    /// Processes that were killed at the memory limit in its whole life; none where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// What the driver needs to find it again.
    pub record: Option<Record>,
    /// What could not be removed at the end.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
    /// Who or what ended it, where it was not its first command, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What failed and did not decide how it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What its user noted on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What is known of one that lives without a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<Detached>,
    /// Nothing in it runs until it is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// A sandbox that lives without a terminal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detached {
    /// Its first command has a terminal of its own.
    pub tty: bool,
    /// Its first command takes input from whoever is attached.
    pub stdin: bool,
    /// It ends so many milliseconds after it was made.
    pub ttl_ms: Option<u64>,
    /// It ends when nothing happened in it for so many milliseconds.
    pub idle_ms: Option<u64>,
    /// Bytes of its output that are kept, about.
    pub log_bytes: u64,
    /// Its limits.
    pub limits: Limits,
    /// What it reaches of the network.
    pub network: Network,
    /// How many controls were verified before its first command ran.
    pub verified: usize,
    /// How many had to be.
    pub controls: usize,
    /// Preferred controls that are not enforced, in words.
    pub shortfalls: Vec<String>,
}

impl Status {
    /// What people call it: the name, or the id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}
