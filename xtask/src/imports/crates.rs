//! Which crates may use which.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::tree::Tree;

/// What one of our crates may link.
struct Rule {
    name: &'static str,
    /// Our crates that it may use; tests may use any that is not a program.
    may_use: &'static [&'static str],
    /// Crates that must not be linked, not even by way of others.
    never: &'static [&'static str],
}

/// An async runtime does not belong into code that runs in a single-threaded process
/// between `clone3` and `exec`, nor into one that only decides.
const RUNTIMES: &[&str] = &["tokio", "mio", "async-std", "smol"];
/// What pure crates must not reach: the ways to the kernel as well.
const NOT_PURE: &[&str] = &["tokio", "mio", "async-std", "smol", "rustix", "libc", "nix"];

const RULES: &[Rule] = &[
    Rule {
        name: "stockade-domain",
        may_use: &[],
        never: NOT_PURE,
    },
    Rule {
        name: "stockade-wire",
        may_use: &[],
        never: NOT_PURE,
    },
    Rule {
        name: "stockade-linux",
        may_use: &["stockade-domain"],
        never: RUNTIMES,
    },
    Rule {
        name: "stockade-guest",
        may_use: &["stockade-wire", "stockade-linux"],
        never: RUNTIMES,
    },
    Rule {
        name: "stockade-workspace",
        may_use: &["stockade-domain"],
        never: RUNTIMES,
    },
    Rule {
        name: "stockade-host",
        may_use: &[
            "stockade-domain",
            "stockade-wire",
            "stockade-linux",
            "stockade-workspace",
        ],
        never: &[],
    },
    Rule {
        name: "stockade",
        may_use: &[
            "stockade-host",
            "stockade-domain",
            "stockade-guest",
            "stockade-lint",
            "stockade-probes",
        ],
        never: &[],
    },
    // A crate of its own: what the domain links is in the guest as well, where no parser of YAML belongs.
    Rule {
        name: "stockade-lint",
        may_use: &["stockade-domain"],
        never: NOT_PURE,
    },
    // Attacks drive the shipped program from outside, too; their inside half has no runtime.
    Rule {
        name: "stockade-probes",
        may_use: &["stockade-domain"],
        never: RUNTIMES,
    },
    // The suite drives the shipped program from outside; it may know words and messages.
    Rule {
        name: "stockade-conformance",
        may_use: &["stockade-domain", "stockade-wire", "stockade-probes"],
        never: &[],
    },
    // The development commands; bench measures an open connection as a library user does.
    Rule {
        name: "xtask",
        may_use: &[],
        never: &[],
    },
];

/// What was found.
pub struct Crates {
    /// How many crates were looked at.
    pub count: usize,
    /// Forbidden arrows.
    pub problems: Vec<String>,
    /// Our crates that a crate uses in its tests alone.
    pub development_only: Vec<(String, Vec<String>)>,
}

/// Compares the manifests with the rules.
pub fn check(tree: &Tree) -> Result<Crates> {
    let metadata = MetadataCommand::new()
        .manifest_path(tree.root.join("Cargo.toml"))
        .exec()
        .context("cargo metadata, with all dependencies")?;
    Ok(compare(&metadata))
}

fn compare(metadata: &Metadata) -> Crates {
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let mut found = Crates {
        count: members.len(),
        problems: Vec::new(),
        development_only: Vec::new(),
    };
    for rule in RULES.iter().filter(|rule| !ours.contains(rule.name)) {
        found.problems.push(format!(
            "{}: has a rule of imports, but there is no such crate",
            rule.name
        ));
    }
    for package in members {
        let Some(rule) = RULES.iter().find(|rule| package.name.as_str() == rule.name) else {
            found.problems.push(format!(
                "{}: give it a rule in xtask/src/imports/crates.rs",
                package.name
            ));
            continue;
        };
        found.problems.extend(forbidden(package, rule, &ours));
        found.problems.extend(reached(metadata, package, rule));
        let used = our_dependencies(package, &ours, DependencyKind::Development);
        if !used.is_empty() {
            found.development_only.push((package.name.to_string(), used));
        }
    }
    found
}

fn our_dependencies(package: &Package, ours: &BTreeSet<&str>, kind: DependencyKind) -> Vec<String> {
    let all = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == kind);
    all.map(|dependency| dependency.name.clone())
        .filter(|name| ours.contains(name.as_str()))
        .collect()
}

fn forbidden(package: &Package, rule: &Rule, ours: &BTreeSet<&str>) -> Vec<String> {
    let linked = [DependencyKind::Normal, DependencyKind::Build];
    let used = linked
        .into_iter()
        .flat_map(|kind| our_dependencies(package, ours, kind));
    used.filter(|name| !rule.may_use.contains(&name.as_str()))
        .map(|name| {
            format!(
                "{} must not use {name} (it may use: {})",
                rule.name,
                rule.may_use.join(", ")
            )
        })
        .collect()
}

/// Crates that are linked although the rule forbids it, with the way that leads there.
fn reached(metadata: &Metadata, package: &Package, rule: &Rule) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else {
        return Vec::new();
    };
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut ways: BTreeMap<&PackageId, String> = BTreeMap::from([(&package.id, package.name.to_string())]);
    let mut waiting = vec![&package.id];
    let mut problems = Vec::new();
    while let Some(id) = waiting.pop() {
        let Some(node) = nodes.get(id) else { continue };
        for next in &node.deps {
            let linked = next
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            let name = &metadata[&next.pkg].name;
            if !linked || is_macro(&metadata[&next.pkg]) || ways.contains_key(&next.pkg) {
                continue;
            }
            let way = format!("{} -> {name}", ways[id]);
            if rule.never.contains(&name.as_str()) {
                problems.push(format!("{} must not link {name}: {way}", rule.name));
            }
            ways.insert(&next.pkg, way);
            waiting.push(&next.pkg);
        }
    }
    problems
}

/// A macro runs in the compiler: what it uses is not linked.
fn is_macro(package: &Package) -> bool {
    package.targets.iter().any(|target| target.is_proc_macro())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(dependency: &str) -> Crates {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"tokio\"]\n",
        );
        for (directory, name, dependencies) in [
            ("domain", "stockade-domain", dependency),
            (
                "wire",
                "stockade-wire",
                "[dev-dependencies]\nstockade-domain = { path = \"../domain\" }",
            ),
            ("tokio", "tokio", ""),
        ] {
            let head = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
            write(
                &format!("{directory}/Cargo.toml"),
                &format!("{head}{dependencies}\n"),
            );
            write(&format!("{directory}/src/lib.rs"), "");
        }
        let manifest = place.path().join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .other_options(["--offline".to_owned()])
            .exec();
        compare(&metadata.unwrap())
    }

    fn told(found: &Crates, words: &str) -> bool {
        found.problems.iter().any(|problem| problem.contains(words))
    }

    #[test]
    fn a_drawn_arrow_passes_and_tests_are_told_apart() {
        let found = scratch("");
        assert!(!told(&found, "must not"));
        assert_eq!(
            found.development_only,
            [("stockade-wire".to_owned(), vec!["stockade-domain".to_owned()])]
        );
    }

    #[test]
    fn a_forbidden_library_is_found() {
        let found = scratch("[dependencies]\ntokio = { path = \"../tokio\" }");
        assert!(told(
            &found,
            "stockade-domain must not link tokio: stockade-domain -> tokio"
        ));
    }

    #[test]
    fn a_rule_without_its_crate_is_told() {
        assert!(told(&scratch(""), "stockade-host: has a rule"));
    }

    #[test]
    fn an_undrawn_arrow_is_found() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "stockade-domain",
                "[dependencies]\nstockade-wire = { path = \"../stockade-wire\" }",
            ),
            ("stockade-wire", ""),
        ] {
            let head =
                format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{text}\n");
            std::fs::create_dir_all(place.path().join(name).join("src")).unwrap();
            std::fs::write(place.path().join(name).join("Cargo.toml"), head).unwrap();
            std::fs::write(place.path().join(name).join("src/lib.rs"), "").unwrap();
        }
        let manifest = place.path().join("Cargo.toml");
        std::fs::write(&manifest, "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .other_options(["--offline".to_owned()])
            .exec();
        assert!(told(
            &compare(&metadata.unwrap()),
            "stockade-domain must not use stockade-wire"
        ));
    }
}
