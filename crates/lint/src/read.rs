//! From bytes to workloads: which format it is, and who reads it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::compose::Compose;
use crate::error::LintError;
use crate::gather::Gather;
use crate::limits::MAX_BYTES;
use crate::model::{Document, Format};
use crate::node::{Cursor, Node, Where};
use crate::{inspect, json, kubernetes, policy, yaml};

/// Where files come from that a compose file names.
pub trait Beside {
    /// The name under which it is told, and the bytes of `path`, which `from` names.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, from: &str, path: &str) -> Result<(String, Vec<u8>), String>;
}

/// No file is there but the one that is read.
pub struct NothingBeside;

impl Beside for NothingBeside {
    fn read(&self, _: &str, path: &str) -> Result<(String, Vec<u8>), String> {
        Err(format!("{path} is not there"))
    }
}

/// What belongs to a file.
pub struct Options<'a> {
    /// Values of variables in compose files.
    pub variables: &'a BTreeMap<String, String>,
    /// Other files.
    pub beside: &'a dyn Beside,
}

/// Reads a file of any format.
///
/// # Errors
/// If nothing can be said of it. What is understood in part is no error, but tells so.
pub fn read(name: &str, bytes: &[u8], options: &Options<'_>) -> Result<Document, LintError> {
    let text = text(name, bytes)?;
    if is_policy(name, text) {
        return policy::read(name, bytes);
    }
    let mut gather = Gather::default();
    let documents = documents(name, text, &mut gather)?;
    let mut format = Format::Unknown;
    let mut compose = Compose::new(options);
    for node in documents.iter().filter(|node| !node.is_null()) {
        let root = Cursor::root(Rc::clone(node), name.into());
        let found = format_of(&root);
        format = if format == Format::Unknown { found } else { format };
        match found {
            Format::Compose => compose.file(&root, &mut gather),
            Format::Kubernetes => kubernetes::read(&root, &mut gather),
            Format::Inspect => inspect::read(&root, &mut gather),
            Format::Policy | Format::Unknown => {
                gather.unknown(
                    root.at(),
                    "this is no compose file, manifest or description of a container",
                );
            }
        }
    }
    compose.share(&mut gather);
    if gather.workloads.is_empty() && gather.unknown.is_empty() && gather.notes.is_empty() {
        gather.unknown(whole(name), "there is nothing in it that could be checked");
    }
    Ok(Document {
        name: name.to_owned(),
        format,
        workloads: gather.workloads,
        unknown: gather.unknown,
        notes: gather.notes.into_iter().collect(),
    })
}

pub(crate) fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, LintError> {
    let file = name.to_owned();
    if bytes.len() > MAX_BYTES {
        return Err(LintError::TooLarge { file });
    }
    std::str::from_utf8(bytes).map_err(|_| LintError::NotText { file })
}

fn whole(name: &str) -> Where {
    Where {
        file: name.to_owned(),
        ..Where::default()
    }
}

/// Every document of a text. JSON is read as such, because it is no YAML in all its corners.
pub(crate) fn documents(name: &str, text: &str, gather: &mut Gather) -> Result<Vec<Rc<Node>>, LintError> {
    let syntax = |cause| LintError::Syntax {
        file: name.to_owned(),
        cause,
    };
    let text = text.trim_start_matches('\u{feff}');
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    if looks_like_json && let Ok(node) = json::parse(text) {
        return Ok(vec![node]);
    }
    let yaml = yaml::parse(text).map_err(syntax)?;
    for (tag, mark) in yaml.tags {
        let at = Where {
            line: mark.map(|(line, _)| line),
            column: mark.map(|(_, column)| column),
            ..whole(name)
        };
        gather.unknown(
            at,
            format!("the tag {} is not understood", crate::gather::shown(&tag)),
        );
    }
    Ok(yaml.documents)
}

/// A policy of ours: by its name, or because it begins as one where there is no name.
fn is_policy(name: &str, text: &str) -> bool {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let assigns = |line: &str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        line.contains('=')
            && !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-' || c == '.')
    };
    name.ends_with(".toml") || first.is_some_and(assigns)
}

fn format_of(root: &Cursor) -> Format {
    if root.items().is_some() || root.get("HostConfig").is_some() {
        return Format::Inspect;
    }
    if root.get("kind").is_some() && (root.get("apiVersion").is_some() || root.get("spec").is_some()) {
        return Format::Kubernetes;
    }
    let is_service = |(_, one): &(String, Cursor)| one.get("image").is_some() || one.get("build").is_some();
    let has_services = ["services", "include"].iter().any(|key| root.get(key).is_some());
    let is_first_version = root
        .entries()
        .is_some_and(|all| !all.is_empty() && all.iter().all(is_service));
    if has_services || is_first_version {
        return Format::Compose;
    }
    Format::Unknown
}
