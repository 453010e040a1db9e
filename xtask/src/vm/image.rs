//! The machine's disk, kernel and first file system, made by Debian's own tools.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::tree::Tree;

const SUITE: &str = "bookworm";

/// What an ordinary installation has, as far as tests use it.
const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "zstd",
    "systemd-sysv",
    "dbus-user-session",
    "libpam-systemd",
    "apparmor",
    "procps",
    "uidmap",
    "python3",
    "git",
    "make",
    "strace",
    "busybox-static",
];

const MACHINE: &str = include_str!("machine.sh");
/// Packages come over the network.
const LIMIT: Duration = Duration::from_secs(20 * 60);
const ROOT_MIB: u32 = 1600;

/// What QEMU boots.
pub struct Image {
    /// Where all of it lies.
    pub directory: PathBuf,
    pub root: PathBuf,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
}

impl Image {
    /// The one that was made before from the same recipe, or a new one.
    pub fn get(kept: &Path, tree: &Tree) -> Result<Self> {
        let mut recipe = DefaultHasher::new();
        (SUITE, PACKAGES, MACHINE, ROOT_MIB).hash(&mut recipe);
        let image = Self::at(kept.join(format!("{:016x}", recipe.finish())));
        if !image.root.exists() {
            // Others are of older recipes.
            let _ = std::fs::remove_dir_all(kept);
            image.make(tree)?;
        }
        Ok(image)
    }

    fn at(directory: PathBuf) -> Self {
        Self {
            root: directory.join("root.img"),
            kernel: directory.join("kernel"),
            initrd: directory.join("initrd"),
            directory,
        }
    }

    /// The disk comes last: where it is, the rest is whole.
    fn make(&self, tree: &Tree) -> Result<()> {
        println!(
            "    making the machine's disk (Debian {SUITE}, {} packages)",
            PACKAGES.len()
        );
        std::fs::create_dir_all(&self.directory)?;
        // Not below the target directory, which may be on a file system without device nodes.
        let root = tempfile::tempdir().context("making a directory for the machine's root")?;
        let mut install = Command::new("mmdebstrap");
        install
            .arg("--mode=root")
            .arg("--variant=minbase")
            .arg(format!("--include={}", PACKAGES.join(",")))
            .arg(SUITE)
            .arg(root.path());
        run(&mut install, tree, "vm-install")?;
        let mut set_up = Command::new("sh");
        set_up.args(["-c", MACHINE, "sh"]).arg(root.path());
        run(&mut set_up, tree, "vm-set-up")?;
        take(&root.path().join("boot"), "vmlinuz-", &self.kernel)?;
        take(&root.path().join("boot"), "initrd.img-", &self.initrd)?;
        let begun = self.directory.join("root.begun");
        disk(root.path(), &begun, ROOT_MIB)?;
        std::fs::rename(&begun, &self.root)?;
        Ok(())
    }
}

/// Copies the one file of a directory whose name begins like this.
fn take(directory: &Path, begins: &str, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(begins) {
            std::fs::copy(entry.path(), to)?;
            return Ok(());
        }
    }
    bail!("{} has no {begins}*", directory.display())
}

/// Makes an ext4 file system with the content of a directory.
pub fn disk(directory: &Path, image: &Path, mib: u32) -> Result<()> {
    let _ = std::fs::remove_file(image);
    let output = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(directory)
        .arg(image)
        .arg(format!("{mib}M"))
        .output()
        .context("running mke2fs")?;
    if output.status.success() {
        return Ok(());
    }
    bail!("mke2fs: {}", String::from_utf8_lossy(&output.stderr).trim())
}

fn run(command: &mut Command, tree: &Tree, name: &str) -> Result<()> {
    let log = tree.logs()?.join(format!("{name}.log"));
    let mut last = String::new();
    let finished = process::run(command, &log, LIMIT, &mut |_, line| line.clone_into(&mut last))?;
    match finished.problem() {
        None => Ok(()),
        Some(problem) => bail!("{name}: {problem}: {last}"),
    }
}
