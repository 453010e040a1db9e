//! A compiler for the ordinary user, whose home has none: that of this process, linked file by file into a
//! place that the user can read. What the user could write in it would be root's.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where users find the compiler that the system brings.
const SYSTEM: &str = "/usr";
const PROGRAMS: [&str; 2] = ["cargo", "rustc"];

/// Puts what compiles and links for this machine below `directory`, and says where its programs are; none where the
/// user has it anyway.
pub(super) fn lend(directory: &Path) -> Result<Option<PathBuf>> {
    let root = PathBuf::from(asked(&["--print", "sysroot"])?);
    if root.starts_with(SYSTEM) {
        return Ok(None);
    }
    let told = asked(&["--version", "--verbose"])?;
    let host = told
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    for program in PROGRAMS {
        link(
            &root.join("bin").join(program),
            &directory.join("bin").join(program),
        )?;
    }
    for library in entries(&root.join("lib"))? {
        let name = library.file_name().unwrap_or_default().to_owned();
        if !library.is_dir() && is_library(&name) {
            link(&library, &directory.join("lib").join(name))?;
        }
    }
    let target = Path::new("lib/rustlib").join(host);
    link_tree(&root.join(&target), &directory.join(&target))?;
    Ok(Some(directory.join("bin")))
}

fn asked(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(arguments)
        .output()
        .context("running rustc")?;
    ensure!(
        output.status.success(),
        "rustc {}: {}",
        arguments.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)
        .context("rustc's answer")?
        .trim()
        .to_owned())
}

fn is_library(name: &OsStr) -> bool {
    name.to_string_lossy().contains(".so")
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    listed.map(|entry| Ok(entry?.path())).collect()
}

fn link_tree(from: &Path, to: &Path) -> Result<()> {
    for path in entries(from)? {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            link_tree(&path, &to)?;
        } else {
            link(&path, &to)?;
        }
    }
    Ok(())
}

/// The same file under another name; a copy where that is on another file system, or where the user could
/// not read it or could write it.
fn link(from: &Path, to: &Path) -> Result<()> {
    let told = || format!("putting {} to {}", from.display(), to.display());
    let from = from.canonicalize().with_context(told)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(told)?;
    }
    let found = from.metadata().with_context(told)?;
    let is_open = found.uid() == 0 && found.mode() & 0o022 == 0 && found.mode() & 0o044 == 0o044;
    if is_open && fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    fs::copy(&from, to).with_context(told)?;
    let mode = if found.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_compiles_and_is_nobody_elses_to_write() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("toolchain");
        let Some(programs) = lend(&directory).unwrap() else {
            return;
        };
        let source = place.path().join("a.rs");
        fs::write(&source, "pub fn one() -> u8 { 1 }").unwrap();
        // Cargo tells where the compiler's libraries are by a variable, which users do not have.
        let compiler = || {
            let mut command = Command::new(programs.join("rustc"));
            command.env_clear();
            command
        };
        let output = place.path().join("liba.rlib");
        let mut compiling = compiler();
        compiling
            .args(["--crate-type", "lib", "-o"])
            .arg(output)
            .arg(&source);
        assert!(compiling.status().unwrap().success());
        let sysroot = compiler().args(["--print", "sysroot"]).output().unwrap().stdout;
        assert_eq!(
            String::from_utf8_lossy(&sysroot).trim(),
            directory.to_str().unwrap()
        );
        for file in entries(&directory.join("lib")).unwrap() {
            assert_eq!(file.metadata().unwrap().mode() & 0o022, 0, "{}", file.display());
        }
    }
}
