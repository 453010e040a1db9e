//! Names this build of the battery by its sources, so that its two halves can tell whether they
//! belong together.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src");
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.as_os_str().as_encoded_bytes());
        hasher.update(fs::read(&file)?);
    }
    let mut name = String::new();
    for byte in hasher.finalize().iter().take(8) {
        write!(name, "{byte:02x}")?;
    }
    println!("cargo::rustc-env=STOCKADE_PROBES_FINGERPRINT={name}");
    Ok(())
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
