//! Misconfigurations: where descriptions of workloads come from, and what the rules say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use stockade_host::tool::{self, Tool};
use stockade_lint::limits::MAX_BYTES;
use stockade_lint::model::{Document, Format, Unknown};
use stockade_lint::rules::{self, Rule, Severity};
use stockade_lint::{Beside, Finding, Options};

use super::{Result, nearest_of};
use crate::failure::Failure;

/// Engines that know containers by name, in the order in which they are asked.
const ENGINES: [&str; 2] = ["docker", "podman"];
/// How long an engine may take to answer.
const ENGINE_TIME: Duration = Duration::from_secs(20);
/// Variables that tell an engine's client where its engine is.
const ENGINE_VARIABLES: [&str; 6] = [
    "HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
];

/// What is asked for.
pub struct Wanted<'a> {
    /// From here on a finding is a failure.
    pub fail_on: Severity,
    /// Rules to leave out.
    pub ignore: &'a [String],
    /// What was not understood is no failure.
    pub allow_unknown: bool,
    /// Values of variables in compose files.
    pub variables: BTreeMap<String, String>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything was understood, and nothing is bad enough.
    Passed,
    /// Something is bad enough.
    Found,
    /// Something was not understood: whatever was found, it is not all.
    NotChecked,
}

/// All that was looked at.
#[derive(Serialize)]
pub struct Report {
    /// What follows.
    pub verdict: Verdict,
    /// From here on a finding is a failure.
    pub fail_on: Severity,
    /// The rules that were left out.
    pub ignore: Vec<String>,
    /// In the order in which they were named.
    pub sources: Vec<Source>,
}

/// A file, or a container.
#[derive(Serialize)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// What it is.
    pub format: Format,
    /// How many workloads it describes.
    pub workloads: usize,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Those of rules that were left out.
    pub ignored: Vec<Finding>,
    /// What was not understood.
    pub not_checked: Vec<Unknown>,
    /// What was taken for granted.
    pub notes: Vec<String>,
    /// Why nothing at all can be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.sources.iter().flat_map(|source| &source.findings)
    }
}

/// The table of rules; a rule that is to be ignored has to be in it.
///
/// # Errors
/// A rule that does not exist.
pub fn rules(wanted: &Wanted<'_>) -> Result<Vec<Rule>> {
    let all = rules::all().map_err(Failure::Rules)?;
    for name in wanted.ignore {
        if !all.iter().any(|rule| rule.id == *name) {
            let known = all.iter().map(|rule| rule.id.as_str());
            return Err(Failure::UnknownRule {
                name: name.clone(),
                suggestion: nearest_of(name, known).map(str::to_owned),
            });
        }
    }
    Ok(all)
}

/// Looks at everything that is named.
///
/// # Errors
/// None for single sources: what cannot be read is told with the others.
pub async fn lint(targets: &[String], rules: &[Rule], wanted: Wanted<'_>) -> Result<Report> {
    let ignore: BTreeSet<String> = wanted.ignore.iter().cloned().collect();
    let mut sources = Vec::new();
    for target in targets {
        sources.push(source(target, rules, &ignore, &wanted.variables).await);
    }
    let is_whole = sources
        .iter()
        .all(|one| one.error.is_none() && (wanted.allow_unknown || one.not_checked.is_empty()));
    let mut report = Report {
        verdict: Verdict::NotChecked,
        fail_on: wanted.fail_on,
        ignore: ignore.into_iter().collect(),
        sources,
    };
    if is_whole {
        let is_bad = report.findings().any(|one| one.severity >= wanted.fail_on);
        report.verdict = if is_bad { Verdict::Found } else { Verdict::Passed };
    }
    Ok(report)
}

async fn source(
    target: &str,
    rules: &[Rule],
    ignore: &BTreeSet<String>,
    variables: &BTreeMap<String, String>,
) -> Source {
    match document(target, variables).await {
        Ok(document) => {
            let checked = stockade_lint::check(&document, rules, ignore);
            Source {
                name: document.name,
                format: document.format,
                workloads: document.workloads.len(),
                findings: checked.findings,
                ignored: checked.ignored,
                not_checked: document.unknown,
                notes: document.notes,
                error: None,
            }
        }
        Err(error) => Source {
            name: target.to_owned(),
            format: Format::Unknown,
            workloads: 0,
            findings: Vec::new(),
            ignored: Vec::new(),
            not_checked: Vec::new(),
            notes: Vec::new(),
            error: Some(error.to_string()),
        },
    }
}

async fn document(target: &str, variables: &BTreeMap<String, String>) -> Result<Document> {
    let options = Options {
        variables,
        beside: &Files,
    };
    let (name, bytes) = if target == "-" {
        (
            "stdin".to_owned(),
            bounded(std::io::stdin().lock())
                .map_err(|cause| Failure::read("file", Path::new(target), cause))?,
        )
    } else {
        match std::fs::metadata(target) {
            Err(_) if may_be_container(target) => (target.to_owned(), inspected(target).await?),
            _ => (target.to_owned(), file(Path::new(target))?),
        }
    };
    Ok(stockade_lint::read(&name, &bytes, &options)?)
}

/// What engines accept as a container's name, unless it looks like a file that was mistyped.
fn may_be_container(target: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let looks_like_file = [".yml", ".yaml", ".json", ".toml"]
        .iter()
        .any(|ending| target.ends_with(ending));
    !looks_like_file
        && target.starts_with(|first: char| first.is_ascii_alphanumeric())
        && target.chars().all(is_part)
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let read = || bounded(File::open(path)?);
    read().map_err(|cause| Failure::read("file", path, cause))
}

/// One byte more than is taken, so that too much is seen as such.
fn bounded(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What an engine says of a container.
async fn inspected(name: &str) -> Result<Vec<u8>> {
    let mut refused = None;
    for engine in ENGINES {
        let Some(program) = tool::find(engine) else {
            continue;
        };
        let mut tool = Tool::new(program).option("container").option("inspect");
        for variable in ENGINE_VARIABLES {
            if let Some(value) = std::env::var_os(variable) {
                tool = tool.variable(variable, value);
            }
        }
        match tool.operand(name).time(ENGINE_TIME).output(MAX_BYTES).run().await {
            Ok(said) => return Ok(said.stdout),
            // The first engine that is there is the one that people mean.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.map_or_else(
        || Failure::NoEngine {
            name: name.to_owned(),
        },
        Failure::from,
    ))
}

/// Files beside a compose file: whatever is no regular file is refused, since a stranger named it.
struct Files;

impl Beside for Files {
    fn read(&self, from: &str, path: &str) -> std::result::Result<(String, Vec<u8>), String> {
        let place: PathBuf = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        let told = |cause: &dyn std::fmt::Display| format!("{}: {cause}", place.display());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = rustix::fs::open(&place, flags, Mode::empty()).map_err(|cause| told(&cause))?;
        let file = File::from(opened);
        if !file.metadata().map_err(|cause| told(&cause))?.is_file() {
            return Err(told(&"this is no regular file"));
        }
        let bytes = bounded(file).map_err(|cause| told(&cause))?;
        Ok((place.display().to_string(), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_containers_are_told_from_files_that_are_not_there() {
        for name in ["web", "app_web-1.x", "2f6d0c7a1f0e"] {
            assert!(may_be_container(name), "{name}");
        }
        for name in ["docker-compose.yml", "./web", "-x", "a/b", "", "pod.yaml", "a b"] {
            assert!(!may_be_container(name), "{name}");
        }
    }

    #[test]
    fn every_probe_that_a_rule_names_is_in_the_catalogue_or_on_its_list() {
        let known: BTreeSet<&str> = stockade_probes::catalogue::GROUPS
            .iter()
            .flat_map(|(_, probes)| probes.iter().map(|probe| probe.id))
            .collect();
        for rule in rules::all().unwrap() {
            for probe in rule.probes {
                assert!(known.contains(probe.as_str()), "{}: {probe}", rule.id);
            }
        }
    }
}
