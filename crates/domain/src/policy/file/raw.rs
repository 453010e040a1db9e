//! The form of `stockade.toml`, as serde reads it. Unknown keys are errors everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use super::schema;
use crate::demand::Need;
use crate::spec::{Caches, Network, WorkspaceMode};
use crate::units::{ByteCount, CpuMillis, CpuShare, DurationMs, Limit, MemoryShare, UnitError};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFile {
    /// Checked before all else, so that a newer form is recognised as such.
    #[serde(rename = "version")]
    #[schemars(schema_with = "schema::version")]
    pub _version: serde::de::IgnoredAny,
    /// A policy that comes with the program, to stand below this file: see `stockade preset ls`.
    #[serde(default)]
    #[schemars(schema_with = "schema::preset")]
    pub preset: Option<Spanned<String>>,
    /// The way to build the sandbox.
    #[schemars(with = "Option<String>")]
    pub driver: Option<Spanned<String>>,
    /// A directory in place of the host's system directories.
    #[schemars(with = "Option<String>")]
    pub image: Option<Spanned<String>>,
    /// The project.
    #[serde(default)]
    pub workspace: RawWorkspace,
    /// Paths of the host that are shown or covered.
    #[serde(default)]
    pub files: RawFiles,
    /// What can be reached.
    #[serde(default)]
    pub network: RawNetwork,
    /// Variables that commands start with.
    #[serde(default)]
    pub environment: RawEnvironment,
    /// Upper bounds; "none" lifts one.
    #[serde(default)]
    pub limits: RawLimits,
    /// What all sandboxes of the host may use together; not in a project's file.
    #[serde(default)]
    pub budget: RawBudget,
    /// How much single controls are needed.
    #[serde(default)]
    #[schemars(schema_with = "schema::needs")]
    pub need: BTreeMap<Spanned<String>, Spanned<Need>>,
    /// Freedoms of the workload.
    #[serde(default)]
    pub sandbox: RawSandbox,
    /// What is recorded beyond the sandbox's own life.
    #[serde(default)]
    pub audit: RawAudit,
    /// What no other layer may be looser than; only in files of /etc/stockade.
    #[schemars(with = "Option<RawFloor>")]
    pub floor: Option<Spanned<RawFloor>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAudit {
    /// Every start of a program inside.
    #[schemars(with = "Option<bool>")]
    pub processes: Option<Spanned<bool>>,
}

/// The clauses of a file again, as bounds.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFloor {
    /// The way to build the sandbox.
    #[schemars(with = "Option<String>")]
    pub driver: Option<Spanned<String>>,
    /// The project.
    #[serde(default)]
    pub workspace: RawWorkspace,
    /// Paths of the host that are shown or covered.
    #[serde(default)]
    pub files: RawFiles,
    /// What can be reached.
    #[serde(default)]
    pub network: RawNetwork,
    /// Variables that commands start with.
    #[serde(default)]
    pub environment: RawFloorEnvironment,
    /// Upper bounds; "none" lifts one.
    #[serde(default)]
    pub limits: RawLimits,
    /// How much single controls are needed.
    #[serde(default)]
    #[schemars(schema_with = "schema::needs")]
    pub need: BTreeMap<Spanned<String>, Spanned<Need>>,
    /// Freedoms of the workload.
    #[serde(default)]
    pub sandbox: RawFloorSandbox,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFloorEnvironment {
    /// Variables of the host that pass; a trailing * stands for any ending. In a floor: all that may.
    #[schemars(with = "Option<Vec<String>>")]
    pub pass: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFloorSandbox {
    /// True for agents that bring their own sandbox.
    #[schemars(with = "Option<bool>")]
    pub nested_namespaces: Option<Spanned<bool>>,
    /// True lets commands inside ask for checkpoints, with `stockade checkpoint`.
    #[schemars(with = "Option<bool>")]
    pub checkpoints_from_inside: Option<Spanned<bool>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWorkspace {
    /// What writing to it means: kept apart, refused, or straight to the host; or no workspace.
    #[schemars(with = "Option<WorkspaceMode>")]
    pub mode: Option<Spanned<WorkspaceMode>>,
    /// The directory; without it the git root, else the current directory.
    #[schemars(with = "Option<String>")]
    pub path: Option<Spanned<String>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFiles {
    /// Shown, read-only. In a floor: all that may be shown.
    #[schemars(with = "Option<Vec<String>>")]
    pub ro: Option<Spanned<Vec<Spanned<String>>>>,
    /// Shown; writing changes the host's own files. In a floor: all that may be writable.
    #[schemars(with = "Option<Vec<String>>")]
    pub rw: Option<Spanned<Vec<Spanned<String>>>>,
    /// Covered, whatever else shows it.
    #[schemars(with = "Option<Vec<String>>")]
    pub hide: Option<Spanned<Vec<Spanned<String>>>>,
    /// Caches of package managers in the home: copy-on-write over the host's, or none.
    #[schemars(with = "Option<Caches>")]
    pub caches: Option<Spanned<Caches>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawNetwork {
    /// A private loopback, or the host's own network: no protection at all.
    #[schemars(with = "Option<Network>")]
    pub mode: Option<Spanned<Network>>,
    /// Destinations; an empty list allows nothing.
    #[schemars(with = "Option<Vec<String>>")]
    pub allow: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEnvironment {
    /// Variables of the host that pass; a trailing * stands for any ending. In a floor: all that may.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub pass: Vec<Spanned<String>>,
    /// Variables with their values.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub set: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLimits {
    /// Memory and swap together.
    #[serde(default)]
    #[schemars(schema_with = "schema::size")]
    pub memory: Option<Spanned<Written<Limit<ByteCount>>>>,
    /// Processes and threads.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub pids: Option<Spanned<Written<Limit<u32>>>>,
    /// Processors' worth of time.
    #[serde(default)]
    #[schemars(schema_with = "schema::cpus")]
    pub cpus: Option<Spanned<Written<Limit<CpuMillis>>>>,
    /// Share of processor time under contention; an ordinary process has 100.
    #[serde(default)]
    #[schemars(schema_with = "schema::weight")]
    pub cpu_weight: Option<Spanned<i64>>,
    /// Size of the changes in the workspace.
    #[serde(default)]
    #[schemars(schema_with = "schema::size")]
    pub disk: Option<Spanned<Written<Limit<ByteCount>>>>,
    /// Time from the start of the command.
    #[serde(default)]
    #[schemars(schema_with = "schema::time")]
    pub timeout: Option<Spanned<Written<Limit<DurationMs>>>>,
    /// Bytes of standard output and standard error together.
    #[serde(default)]
    #[schemars(schema_with = "schema::size")]
    pub output: Option<Spanned<Written<Limit<ByteCount>>>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawBudget {
    /// Memory and swap together: a part of the host's, or a size.
    #[serde(default)]
    #[schemars(schema_with = "schema::memory_share")]
    pub memory: Option<Spanned<Written<Limit<MemoryShare>>>>,
    /// Processors' worth of time: all but some, or a number.
    #[serde(default)]
    #[schemars(schema_with = "schema::cpu_share")]
    pub cpus: Option<Spanned<Written<Limit<CpuShare>>>>,
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSandbox {
    /// True for agents that bring their own sandbox.
    #[schemars(with = "Option<bool>")]
    pub nested_namespaces: Option<Spanned<bool>>,
    /// True lets commands inside ask for checkpoints, with `stockade checkpoint`.
    #[schemars(with = "Option<bool>")]
    pub checkpoints_from_inside: Option<Spanned<bool>>,
    /// The host name inside.
    #[schemars(with = "Option<String>")]
    pub hostname: Option<Spanned<String>>,
}

/// A value in one of the grammars of [`crate::units`]; a number stands for its text.
pub(super) struct Written<T>(pub T);

/// What an error says was expected.
pub(super) trait Expected {
    const EXPECTED: &'static str;
}

impl Expected for Limit<ByteCount> {
    const EXPECTED: &'static str = "a size such as \"2G\", or \"none\"";
}
impl Expected for Limit<DurationMs> {
    const EXPECTED: &'static str = "a time span such as \"5m\", or \"none\"";
}
impl Expected for Limit<CpuMillis> {
    const EXPECTED: &'static str = "a number of processors such as 1.5, or \"none\"";
}
impl Expected for Limit<MemoryShare> {
    const EXPECTED: &'static str = "a part such as \"80%\", a size such as \"16G\", or \"none\"";
}
impl Expected for Limit<CpuShare> {
    const EXPECTED: &'static str = "\"all-but-1\", a number of processors such as 6, or \"none\"";
}
impl Expected for Limit<u32> {
    const EXPECTED: &'static str = "a count such as 512, or \"none\"";
}

impl<'de, T: FromStr<Err = UnitError> + Expected> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(WrittenVisitor(PhantomData))
    }
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = UnitError> + Expected> Visitor<'_> for WrittenVisitor<T> {
    type Value = Written<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map(Written).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }
}
