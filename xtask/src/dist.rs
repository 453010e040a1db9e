//! `dist`: the programs to ship, and that they need nothing of the machine they run on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};

use crate::build;
use crate::tree::Tree;

/// The programs: package, name, what it is.
const PROGRAMS: [(&str, &str, &str); 2] = [
    (
        "stockade",
        "stockade",
        "the program; it becomes the guest of local sandboxes itself",
    ),
    (
        "stockade-guest",
        "stockade-guest",
        "the guest alone, to be sent where the program is not",
    ),
];

/// Builds all programs into `target/dist` and prints their sizes.
pub fn run(tree: &Tree) -> Result<()> {
    let place = tree.target.join("dist");
    std::fs::create_dir_all(&place)?;
    let mut missing = Vec::new();
    for (package, name, what) in PROGRAMS {
        match build_one(tree, package, name) {
            Ok(program) => {
                check_static(&program)?;
                let copy = place.join(name);
                std::fs::copy(&program, &copy).with_context(|| format!("copying to {}", copy.display()))?;
                let size = std::fs::metadata(&copy)?.len();
                println!(
                    "{} ({}.{} MiB, static): {what}",
                    copy.display(),
                    size >> 20,
                    ((size % (1 << 20)) * 10) >> 20
                );
            }
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    ensure!(missing.is_empty(), "not built: {}", missing.join("; "));
    Ok(())
}

fn build_one(tree: &Tree, package: &str, name: &str) -> Result<PathBuf> {
    let arguments = ["build", "--release", "-p", package, "--bin", name];
    let built = build::programs(tree, &arguments, &format!("dist-{name}"))?;
    let program = built
        .into_iter()
        .find(|program| program.name == name && !program.test);
    Ok(program
        .with_context(|| format!("cargo built no program named {name}"))?
        .path)
}

/// Fails if the program asks for a dynamic loader or a shared library: a sandbox's root
/// is empty, there is neither.
pub fn check_static(program: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let asks = asks_for(&bytes).with_context(|| format!("reading {} as ELF", program.display()))?;
    if asks.is_empty() {
        return Ok(());
    }
    bail!(
        "{} is not static: it has {}. Build it with this repository's .cargo/config.toml and without RUSTFLAGS",
        program.display(),
        asks.join(" and ")
    )
}

/// What an ELF file asks of the machine that runs it.
fn asks_for(bytes: &[u8]) -> Result<Vec<&'static str>> {
    let file = ElfFile64::<object::Endianness>::parse(bytes)?;
    let endian = file.endian();
    let mut asks = Vec::new();
    for header in file.elf_header().program_headers(endian, bytes)? {
        if header.p_type(endian) == elf::PT_INTERP {
            asks.push("a dynamic loader (PT_INTERP)");
        }
        for entry in header.dynamic(endian, bytes)?.unwrap_or_default() {
            if entry.d_tag.get(endian) == u64::from(elf::DT_NEEDED) {
                asks.push("a shared library (DT_NEEDED)");
            }
        }
    }
    Ok(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told() {
        let asks = asks_for(&std::fs::read("/bin/sh").unwrap()).unwrap();
        assert!(asks.contains(&"a dynamic loader (PT_INTERP)"), "{asks:?}");
    }

    #[test]
    fn this_very_program_is_static() {
        assert!(check_static(&std::env::current_exe().unwrap()).is_ok());
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(asks_for(b"#!/bin/sh").is_err());
    }
}
