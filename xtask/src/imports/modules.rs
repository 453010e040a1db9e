//! Which modules may name which, inside a crate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::paths::{Named, module_of, named};
use crate::tree::Tree;

/// Checking must not repeat a mistake of planning: code that gathers evidence takes
/// controls and never sees a plan.
const NEVER_IN_RECEIPTS: [&str; 4] = ["plan", "Plan", "Planned", "plans"];

/// Directories of parts that do not know each other: what two of them share belongs into
/// the crate that both use.
const APART: &[Apart] = &[
    Apart {
        source: "crates/host/src",
        module: "drivers",
        parts: None,
        what: "a driver",
    },
    Apart {
        source: "crates/stockade/src",
        module: "",
        parts: Some(&["cli", "rpc", "http", "e2b", "mcp"]),
        what: "a front",
    },
];

struct Apart {
    source: &'static str,
    /// The module that holds the parts; empty for the crate's root.
    module: &'static str,
    /// The parts; none means every directory that is there.
    parts: Option<&'static [&'static str]>,
    what: &'static str,
}

/// What was found.
pub struct Modules {
    /// How many files a rule applies to.
    pub guarded: usize,
    /// Forbidden names.
    pub problems: Vec<String>,
}

/// Looks at every Rust file that a rule applies to.
pub fn check(tree: &Tree) -> Result<Modules> {
    let files = tree.rust_files()?;
    let mut found = Modules {
        guarded: 0,
        problems: Vec::new(),
    };
    for file in &files {
        let rules: Vec<&Apart> = APART
            .iter()
            .filter(|rule| part_of(rule, file, &files).is_some())
            .collect();
        if rules.is_empty() && !is_receipt(file) {
            continue;
        }
        found.guarded += 1;
        let text = tree.read(file)?;
        if is_receipt(file) {
            found.problems.extend(receipt_problems(file, &text)?);
        }
        for rule in rules {
            found.problems.extend(apart_problems(rule, file, &text, &files)?);
        }
    }
    Ok(found)
}

/// `receipt.rs`, or a file of a directory `receipt/`, outside tests and the xtask.
fn is_receipt(file: &Path) -> bool {
    let in_source = file.starts_with("crates/domain/src") || file.starts_with("crates/host/src");
    in_source
        && file.components().any(|part| {
            Path::new(part.as_os_str())
                .file_stem()
                .is_some_and(|s| s == "receipt")
        })
}

fn receipt_problems(file: &Path, text: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for name in paths(file, text, Path::new(""))? {
        if let Some(word) = name
            .segments
            .iter()
            .find(|segment| NEVER_IN_RECEIPTS.contains(&segment.as_str()))
        {
            let place = format!("{}:{}", file.display(), name.line);
            problems.push(format!(
                "{place}: code that checks must not name `{word}`: pass it the controls"
            ));
        }
    }
    Ok(problems)
}

fn apart_problems(rule: &Apart, file: &Path, text: &str, files: &[PathBuf]) -> Result<Vec<String>> {
    let Some(own) = part_of(rule, file, files) else {
        return Ok(Vec::new());
    };
    let parts = parts(rule, files);
    let names = paths(file, text, Path::new(rule.source))?;
    let other = |name: &Named| {
        let below = match rule.module {
            "" => name.segments.as_slice(),
            module => name.segments.strip_prefix(&[module.to_owned()])?,
        };
        below
            .first()
            .filter(|part| **part != own && parts.contains(part.as_str()))
            .cloned()
    };
    let what = rule.what;
    Ok(names
        .iter()
        .filter_map(|name| Some((name, other(name)?)))
        // A bare name is a local one, unless a path follows it.
        .filter(|(name, _)| !rule.module.is_empty() || name.segments.len() > 1)
        .map(|(name, other)| {
            format!(
                "{}:{}: {what} ({own}) must not name another ({other})",
                file.display(),
                name.line
            )
        })
        .collect())
}

fn paths(file: &Path, text: &str, source: &Path) -> Result<Vec<Named>> {
    let tokens = text
        .parse()
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let module = file.strip_prefix(source).map(module_of).unwrap_or_default();
    Ok(named(tokens, &module))
}

/// The names of all parts that a rule keeps apart.
fn parts(rule: &Apart, files: &[PathBuf]) -> BTreeSet<String> {
    if let Some(parts) = rule.parts {
        return parts.iter().map(|part| (*part).to_owned()).collect();
    }
    let base = Path::new(rule.source).join(rule.module);
    let below = files.iter().filter_map(|file| file.strip_prefix(&base).ok());
    below
        .filter(|file| file.components().count() > 1)
        .filter_map(|file| {
            Some(
                file.components()
                    .next()?
                    .as_os_str()
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .collect()
}

/// The part that a file belongs to.
fn part_of(rule: &Apart, file: &Path, files: &[PathBuf]) -> Option<String> {
    let below = file.strip_prefix(Path::new(rule.source).join(rule.module)).ok()?;
    let first = below.components().next()?.as_os_str();
    let name = Path::new(first).file_stem()?.to_string_lossy().into_owned();
    parts(rule, files).contains(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver_problems(text: &str) -> Vec<String> {
        let file = PathBuf::from("crates/host/src/drivers/native/create.rs");
        let other = PathBuf::from("crates/host/src/drivers/docker/mod.rs");
        apart_problems(&APART[0], &file, text, &[file.clone(), other]).unwrap()
    }

    #[test]
    fn a_driver_may_not_name_another() {
        for text in [
            "use crate::drivers::docker::Docker;",
            "use super::super::docker;",
            "use crate::{open, drivers::{native::x, docker::y}};",
            "fn f() { crate::drivers::docker::go() }",
        ] {
            assert_eq!(driver_problems(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_driver_may_name_itself_and_the_rest() {
        assert!(
            driver_problems("use super::support; use crate::drivers::native::x; use crate::open;").is_empty()
        );
        assert!(driver_problems("fn docker() { let docker = 1; }").is_empty());
    }

    #[test]
    fn a_front_may_not_name_another() {
        let file = PathBuf::from("crates/stockade/src/cli/run.rs");
        let problems = |text: &str| apart_problems(&APART[1], &file, text, &[]).unwrap();
        assert_eq!(problems("use crate::rpc::serve;").len(), 1);
        assert!(problems("use crate::service::open; use super::table; let rpc = 1;").is_empty());
    }

    #[test]
    fn receipts_never_name_plans() {
        let file = Path::new("crates/host/src/drivers/native/receipt.rs");
        assert!(is_receipt(file));
        assert!(is_receipt(Path::new(
            "crates/host/src/drivers/native/receipt/mounts.rs"
        )));
        assert!(!is_receipt(Path::new("crates/host/src/open.rs")));
        assert_eq!(
            receipt_problems(file, "use stockade_domain::Plan;")
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            receipt_problems(file, "use stockade_domain::plan::X;")
                .unwrap()
                .len(),
            1
        );
        assert!(
            receipt_problems(file, "/// as the plan says\nuse stockade_domain::Receipt;")
                .unwrap()
                .is_empty()
        );
    }
}
