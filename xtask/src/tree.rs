//! The source tree and where its products go.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The source tree.
pub struct Tree {
    /// The repository's root directory.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
}

impl Tree {
    /// The tree that this program was built from.
    pub fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .parent()
            .context("the manifest directory has no parent")?
            .to_path_buf();
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        Ok(Self {
            root,
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// A `cargo` command that works on this tree.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Its output goes to a log and is read here.
        command.current_dir(&self.root).env("CARGO_TERM_COLOR", "never");
        command
    }

    /// Where full logs of steps go; made if missing.
    pub fn logs(&self) -> Result<PathBuf> {
        let logs = self.target.join("xtask-logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        Ok(logs)
    }

    /// Every file that is or would be committed, relative to the root.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        // A checkout may belong to another user (CI as root): reading its index runs no hooks.
        let output = Command::new("git")
            .args([
                "-c",
                "safe.directory=*",
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&self.root)
            .output()
            .context("running git ls-files: is git installed?")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "git ls-files failed: {}",
            complaint.trim()
        );
        let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut files: Vec<PathBuf> = listing
            .split_terminator('\0')
            .map(PathBuf::from)
            // The index may list files that were just deleted.
            .filter(|file| self.root.join(file).is_file())
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The Rust files among [`Tree::files`].
    pub fn rust_files(&self) -> Result<Vec<PathBuf>> {
        let files = self.files()?;
        Ok(files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
            .collect())
    }

    /// Reads a file of the tree.
    pub fn read(&self, file: &Path) -> Result<String> {
        std::fs::read_to_string(self.root.join(file)).with_context(|| format!("reading {}", file.display()))
    }
}
