//! `dist`: the programs to ship, and that they need nothing of the machine they run on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};

use crate::build;
use crate::tree::Tree;

/// A program to ship.
struct Shipped {
    /// Its package, and its name.
    name: &'static str,
    /// Where it is installed, below a prefix.
    place: &'static str,
    /// What it is.
    what: &'static str,
}

const PROGRAMS: [Shipped; 3] = [
    Shipped {
        name: "stockade",
        place: "bin/stockade",
        what: "the program; it becomes the guest of local sandboxes itself",
    },
    Shipped {
        name: "stockade-guest",
        place: "libexec/stockade/stockade-guest",
        what: "the guest alone: taken where it is installed here, or sent where the program is not",
    },
    Shipped {
        name: "stockade-probes",
        place: "libexec/stockade/stockade-probes",
        what: "the inside half of `stockade probe`: attacks, which no guest holds",
    },
];

/// Builds all programs into `target/dist`, as they are installed below a prefix, and prints
/// their sizes. Returns where the program is.
pub fn run(tree: &Tree) -> Result<PathBuf> {
    let prefix = tree.target.join("dist");
    let mut missing = Vec::new();
    for Shipped { name, place, what } in PROGRAMS {
        match build_one(tree, name) {
            Ok(program) => {
                check_static(&program)?;
                let copy = prefix.join(place);
                make_unchangeable(&prefix, copy.parent().unwrap_or(&prefix))?;
                let _ = std::fs::remove_file(&copy);
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
    Ok(prefix.join(PROGRAMS[0].place))
}

/// Makes a directory below another, for its owner alone to write: the program refuses a guest
/// that others could exchange.
fn make_unchangeable(prefix: &Path, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    for at in directory.ancestors().take_while(|at| at.starts_with(prefix)) {
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn build_one(tree: &Tree, name: &str) -> Result<PathBuf> {
    let arguments = ["build", "--release", "-p", name, "--bin", name];
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
