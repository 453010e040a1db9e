//! `mutants`: whether the probes notice a sandbox that lacks one protection. What they noticed is kept in a
//! file, and shown as a page; `test` repeats the probes that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::process::{self, Stream};
use crate::tree::Tree;
use crate::{Findings, build};

const FILE: &str = "xtask/mutants.toml";
const PAGE: &str = "docs/mutants.md";
/// The file beside a damaged program that says what it lacks.
const CHOICE: &str = "mutant";
/// One battery; a debug build is slower than what users have.
const LIMIT: Duration = Duration::from_secs(5 * 60);

const HEAD: &str = "\
# What happens without it

A probe that holds everywhere shows nothing unless it fails where the protection is missing. `cargo xtask mutants`
takes one protection at a time from the native driver's sandboxes (a switch that release builds do not have) and
attacks them with the whole battery, as root. Each has to be noticed.

Written by `cargo xtask mutants`; not by hand.

| a sandbox without | is noticed by |
|---|---|
";

const HOLES: &str = "
These are holes in the battery: no probe notices yet that they are missing.

";

const LAYERED: &str = "
No probe can tell that these are missing, because another wall refuses the same; the receipt of each run names them:

| a sandbox without | why no probe can tell |
|---|---|
";

/// What is known of each mutant.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Those that none notices. Written by `mutants`, which fails as long as there are any.
    holes: Vec<String>,
    /// The probes that notice it. Written by `mutants`.
    noticed: BTreeMap<String, Vec<String>>,
    /// Why none does. Written by hand.
    #[serde(default)]
    layered: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Told {
    drivers: Vec<Driver>,
}

#[derive(Deserialize)]
struct Driver {
    unusable: Option<String>,
    probes: Vec<Probe>,
}

#[derive(Deserialize)]
struct Probe {
    id: String,
    outcome: String,
}

/// Attacks every mutant with every probe and keeps what was noticed.
pub fn write(tree: &Tree) -> Result<()> {
    let lab = Lab::build(tree)?;
    let mut known = read(tree)?;
    let mutants = lab.list()?;
    known.noticed.clear();
    known.holes.clear();
    ensure!(lab.attack("none", &[])?.is_empty(), "what is not damaged holds");
    for name in mutants.keys() {
        // What notices only after others have been there is no test of its own.
        let noticed = match lab.attack(name, &[])? {
            none if none.is_empty() => none,
            some => lab.attack(name, &some)?,
        };
        println!("{name}: {}", noticed.join(" "));
        if !noticed.is_empty() {
            known.noticed.insert(name.clone(), noticed);
        } else if !known.layered.contains_key(name) {
            known.holes.push(name.clone());
        }
    }
    std::fs::write(tree.root.join(FILE), text(&known)?)?;
    std::fs::write(tree.root.join(PAGE), page(&known, &mutants)?)?;
    ensure!(
        known.holes.is_empty(),
        "no probe notices these, and {FILE} does not say why: {}",
        known.holes.join(", ")
    );
    Ok(())
}

/// Whether the probes that noticed each mutant still do, and the page is what the file says.
pub fn check(tree: &Tree) -> Result<Findings> {
    let lab = Lab::build(tree)?;
    let (known, mutants) = (read(tree)?, lab.list()?);
    let mut problems = Vec::new();
    for name in mutants.keys() {
        match known.noticed.get(name) {
            Some(ids) => {
                let noticed: BTreeSet<String> = lab.attack(name, ids)?.into_iter().collect();
                let silent = ids.iter().filter(|id| !noticed.contains(*id));
                problems.extend(silent.map(|id| format!("{id} does not notice a sandbox without {name}")));
            }
            None if known.layered.contains_key(name) || known.holes.contains(name) => {}
            None => problems.push(format!("{FILE} does not name {name}: run cargo xtask mutants")),
        }
    }
    let names = known
        .noticed
        .keys()
        .chain(known.layered.keys())
        .chain(&known.holes);
    let unknown = names.filter(|name| !mutants.contains_key(*name));
    problems.extend(unknown.map(|name| format!("{FILE}: there is no mutant {name}")));
    if tree.read(PAGE.as_ref())? != page(&known, &mutants)? {
        problems.push(format!("{PAGE} is stale: run cargo xtask mutants"));
    }
    Ok(Findings {
        looked_at: format!("{} mutants", mutants.len()),
        problems,
    })
}

fn read(tree: &Tree) -> Result<Known> {
    toml::from_str(&tree.read(FILE.as_ref())?).context(FILE)
}

fn text(known: &Known) -> Result<String> {
    let text = toml::to_string(known)?;
    Ok(format!(
        "# The probes that notice a native sandbox without one protection: written by `cargo xtask mutants`.\n\
         # `layered` is written by hand.\n\n{text}"
    ))
}

fn page(known: &Known, mutants: &BTreeMap<String, String>) -> Result<String> {
    let lacks = |name: &String| mutants.get(name).cloned().unwrap_or_default();
    let mut page = HEAD.to_owned();
    for (name, ids) in &known.noticed {
        writeln!(page, "| {} | {} |", lacks(name), ids.join(", "))?;
    }
    if !known.holes.is_empty() {
        page.push_str(HOLES);
    }
    for name in &known.holes {
        writeln!(page, "- {}", lacks(name))?;
    }
    if !known.layered.is_empty() {
        page.push_str(LAYERED);
    }
    for (name, why) in &known.layered {
        writeln!(page, "| {} | {why} |", lacks(name))?;
    }
    Ok(page)
}

/// The damaged program, with the probes beside it.
struct Lab<'a> {
    tree: &'a Tree,
    program: PathBuf,
}

impl<'a> Lab<'a> {
    fn build(tree: &'a Tree) -> Result<Self> {
        let built = build::programs(
            tree,
            &[
                "build",
                "-p",
                "stockade",
                "-p",
                "stockade-probes",
                "--bins",
                "--features",
                "stockade/mutants",
            ],
            "build-mutants",
        )?;
        let place = tree.target.join("mutants");
        std::fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
        for name in ["stockade", "stockade-probes"] {
            let found = built.iter().find(|program| program.name == name && !program.test);
            let path = &found.with_context(|| format!("cargo built no {name}"))?.path;
            copy(path, &place.join(name))?;
        }
        // Nobody should find a program without walls where the usual one lies.
        build::programs(tree, &["build", "-p", "stockade", "--bins"], "build-undamaged")?;
        Ok(Self {
            tree,
            program: place.join("stockade"),
        })
    }

    /// The mutants, with what each lacks.
    fn list(&self) -> Result<BTreeMap<String, String>> {
        self.choose("list")?;
        let told = Command::new(&self.program)
            .output()
            .context("listing the mutants")?;
        let text = String::from_utf8(told.stdout)?;
        let rows = text.lines().filter_map(|line| line.split_once('\t'));
        let mutants: BTreeMap<_, _> = rows
            .map(|(name, lacks)| (name.to_owned(), lacks.to_owned()))
            .collect();
        ensure!(!mutants.is_empty(), "the damaged program lists no mutants");
        Ok(mutants)
    }

    /// The probes that did not hold.
    fn attack(&self, name: &str, ids: &[String]) -> Result<Vec<String>> {
        self.choose(name)?;
        let mut command = Command::new(&self.program);
        command.args(["probe", "--json", "--driver", "native"]);
        command.args(ids.iter().flat_map(|id| ["--id", id]));
        let state = self.tree.target.join("mutants-state");
        command.env("XDG_STATE_HOME", &state);
        let mut text = String::new();
        let log = self.tree.logs()?.join(format!("mutant-{name}.log"));
        let finished = process::run(&mut command, &log, LIMIT, &mut |stream, line| {
            if stream == Stream::Out {
                text.push_str(line);
                text.push('\n');
            }
        })?;
        let _ = std::fs::remove_dir_all(&state);
        let told: Told = serde_json::from_str(&text)
            .with_context(|| format!("{name}: {:?}; see {}", finished.problem(), log.display()))?;
        let Some(driver) = told.drivers.into_iter().next() else {
            bail!("{name}: nothing was attacked");
        };
        if let Some(why) = driver.unusable {
            bail!("{name}: there is no sandbox to attack: {why}");
        }
        let open = driver
            .probes
            .into_iter()
            .filter(|probe| probe.outcome == "not-held");
        Ok(open.map(|probe| probe.id).collect())
    }

    fn choose(&self, name: &str) -> Result<()> {
        let choice = self.program.with_file_name(CHOICE);
        std::fs::write(&choice, name).with_context(|| format!("writing {}", choice.display()))
    }
}

/// In place of what may still run.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let _ = std::fs::remove_file(to);
    std::fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            holes: vec!["c".to_owned()],
            noticed: BTreeMap::from([("a".to_owned(), vec!["PR01".to_owned(), "PR02".to_owned()])]),
            layered: BTreeMap::from([("b".to_owned(), "c refuses the same".to_owned())]),
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let read: Known = toml::from_str(&text(&known()).expect("text")).expect("TOML");
        assert_eq!(read, known());
    }

    #[test]
    fn the_page_says_what_is_lacking_and_who_notices() {
        let mutants = [("a", "an A"), ("b", "a B"), ("c", "a C")]
            .map(|(name, lacks)| (name.to_owned(), lacks.to_owned()));
        let page = page(&known(), &BTreeMap::from(mutants)).expect("a page");
        assert!(page.contains("| an A | PR01, PR02 |") && page.contains("| a B | c refuses the same |"));
        assert!(page.contains("- a C\n"), "{page}");
    }
}
