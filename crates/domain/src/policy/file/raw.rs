//! The form of `stockade.toml`, as serde reads it. Unknown keys are errors everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use crate::demand::Need;
use crate::spec::{Network, WorkspaceMode};
use crate::units::{ByteCount, CpuMillis, DurationMs, Limit, UnitError};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFile {
    /// Checked before all else, so that a newer form is recognised as such.
    #[serde(rename = "version")]
    pub _version: serde::de::IgnoredAny,
    pub driver: Option<Spanned<String>>,
    pub image: Option<Spanned<String>>,
    #[serde(default)]
    pub workspace: RawWorkspace,
    #[serde(default)]
    pub files: RawFiles,
    #[serde(default)]
    pub network: RawNetwork,
    #[serde(default)]
    pub environment: RawEnvironment,
    #[serde(default)]
    pub limits: RawLimits,
    #[serde(default)]
    pub need: BTreeMap<Spanned<String>, Spanned<Need>>,
    #[serde(default)]
    pub sandbox: RawSandbox,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWorkspace {
    pub mode: Option<Spanned<WorkspaceMode>>,
    pub path: Option<Spanned<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFiles {
    #[serde(default)]
    pub ro: Vec<Spanned<String>>,
    #[serde(default)]
    pub rw: Vec<Spanned<String>>,
    #[serde(default)]
    pub hide: Vec<Spanned<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawNetwork {
    pub mode: Option<Spanned<Network>>,
    pub allow: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEnvironment {
    #[serde(default)]
    pub pass: Vec<Spanned<String>>,
    #[serde(default)]
    pub set: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLimits {
    pub memory: Option<Spanned<Written<Limit<ByteCount>>>>,
    pub pids: Option<Spanned<Written<Limit<u32>>>>,
    pub cpus: Option<Spanned<Written<Limit<CpuMillis>>>>,
    pub cpu_weight: Option<Spanned<i64>>,
    pub disk: Option<Spanned<Written<Limit<ByteCount>>>>,
    pub timeout: Option<Spanned<Written<Limit<DurationMs>>>>,
    pub output: Option<Spanned<Written<Limit<ByteCount>>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSandbox {
    pub nested_namespaces: Option<Spanned<bool>>,
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
