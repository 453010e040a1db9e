//! Man pages, shell completions and the schema of policies: written from the program's own description of its
//! commands, kept in the tree so that packagers need not run it, and compared in `test`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::build;
use crate::tree::Tree;

/// Directories that hold generated files and nothing else.
const DIRECTORIES: [&str; 3] = ["docs/man", "completions", "docs/schema"];

/// Shells, and the file name under which each finds completions.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "stockade.bash"),
    ("zsh", "_stockade"),
    ("fish", "stockade.fish"),
];

/// Writes the files, or compares only.
pub fn run(tree: &Tree, compare_only: bool) -> Result<()> {
    let program = build::release(tree)?;
    if compare_only {
        let stale = stale(tree, &program)?;
        stale.iter().for_each(|problem| println!("{problem}"));
        ensure!(
            stale.is_empty(),
            "{} files are stale: run `cargo xtask man`",
            stale.len()
        );
        return Ok(());
    }
    let wanted = generate(tree, &program)?;
    for file in present(tree)?.keys().filter(|file| !wanted.contains_key(*file)) {
        std::fs::remove_file(tree.root.join(file))?;
        println!("removed {}", file.display());
    }
    for (file, content) in &wanted {
        let path = tree.root.join(file);
        std::fs::create_dir_all(path.parent().context("a generated file has a directory")?)?;
        std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    }
    println!("wrote {} files below {}", wanted.len(), DIRECTORIES.join(", "));
    Ok(())
}

/// What differs between the tree and what the program says; empty if nothing.
pub fn stale(tree: &Tree, program: &Path) -> Result<Vec<String>> {
    Ok(differences(&present(tree)?, &generate(tree, program)?))
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn differences(present: &Files, wanted: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    for (file, content) in wanted {
        match present.get(file) {
            None => problems.push(format!("{} is missing: run `cargo xtask man`", file.display())),
            Some(found) if found != content => {
                problems.push(format!("{} is stale: run `cargo xtask man`", file.display()));
            }
            Some(_) => {}
        }
    }
    let extra = present.keys().filter(|file| !wanted.contains_key(*file));
    problems.extend(extra.map(|file| {
        format!(
            "{} is not generated any more: run `cargo xtask man`",
            file.display()
        )
    }));
    problems
}

fn present(tree: &Tree) -> Result<Files> {
    let mut files = Files::new();
    for directory in DIRECTORIES {
        let path = tree.root.join(directory);
        for entry in std::fs::read_dir(&path).into_iter().flatten() {
            let entry = entry?;
            files.insert(
                Path::new(directory).join(entry.file_name()),
                std::fs::read(entry.path())?,
            );
        }
    }
    Ok(files)
}

fn generate(tree: &Tree, program: &Path) -> Result<Files> {
    let mut files = Files::new();
    let pages = tree.target.join("xtask-man");
    let _ = std::fs::remove_dir_all(&pages);
    std::fs::create_dir_all(&pages)?;
    let directory = pages
        .to_str()
        .context("the target directory's path is not UTF-8")?;
    output(program, &["man", "--dir", directory])?;
    for entry in std::fs::read_dir(&pages)? {
        let entry = entry?;
        files.insert(
            Path::new(DIRECTORIES[0]).join(entry.file_name()),
            std::fs::read(entry.path())?,
        );
    }
    ensure!(!files.is_empty(), "`stockade man --dir` wrote no page");
    for (shell, file) in SHELLS {
        files.insert(
            Path::new(DIRECTORIES[1]).join(file),
            output(program, &["completions", shell])?,
        );
    }
    files.insert(
        Path::new(DIRECTORIES[2]).join("policy.schema.json"),
        output(program, &["policy", "schema"])?,
    );
    Ok(files)
}

fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`stockade {}` failed: {}: {}",
            arguments.join(" "),
            output.status,
            complaint.trim()
        );
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter()
            .map(|(name, content)| (PathBuf::from(name), content.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn equal_files_are_not_stale() {
        let same = files(&[("docs/man/a.1", "x")]);
        assert!(differences(&same, &same).is_empty());
    }

    #[test]
    fn missing_changed_and_extra_files_are_told() {
        let present = files(&[("a", "old"), ("extra", "x")]);
        let wanted = files(&[("a", "new"), ("missing", "x")]);
        let problems = differences(&present, &wanted).join("\n");
        assert!(problems.contains("a is stale"));
        assert!(problems.contains("missing is missing"));
        assert!(problems.contains("extra is not generated"));
    }
}
