//! What the tests need on this machine beside Rust, and getting it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::user;

/// Something the tests need.
struct Need {
    /// The package of Debian and Ubuntu that has it.
    package: &'static str,
    shown_by: Sign,
    /// What it is needed for.
    reason: &'static str,
}

/// What shows that it is there.
enum Sign {
    /// A program on PATH.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A command that succeeds.
    Runs(&'static [&'static str]),
}

const NEEDS: &[Need] = &[
    Need {
        package: "git",
        shown_by: Sign::Program("git"),
        reason: "the checks list the tree by it; workspaces are git trees",
    },
    Need {
        package: "util-linux",
        shown_by: Sign::Program("setpriv"),
        reason: "runs tests as the ordinary user; bench peer unshare",
    },
    Need {
        package: "passwd",
        shown_by: Sign::Program("useradd"),
        reason: "makes the ordinary user",
    },
    Need {
        package: "uidmap",
        shown_by: Sign::Program("newuidmap"),
        reason: "rootless sandboxes with more than one id",
    },
    Need {
        package: "procps",
        shown_by: Sign::Program("ps"),
        reason: "tests show that host processes are hidden from it",
    },
    Need {
        package: "g++",
        shown_by: Sign::Program("c++"),
        reason: "the library of the fuzzers is written in C++",
    },
    Need {
        package: "strace",
        shown_by: Sign::Program("strace"),
        reason: "lets single system calls fail, as on older kernels",
    },
    Need {
        package: "bubblewrap",
        shown_by: Sign::Program("bwrap"),
        reason: "bench peer",
    },
    Need {
        package: "python3",
        // A minimal one has the program and not the library.
        shown_by: Sign::Runs(&["python3", "-c", "import unittest, multiprocessing"]),
        reason: "workload: interpreters and their test suites",
    },
    Need {
        package: "make",
        shown_by: Sign::Program("make"),
        reason: "workload: a real build",
    },
    Need {
        package: "gcc",
        shown_by: Sign::Program("gcc"),
        reason: "workload: a real build",
    },
    Need {
        package: "libc6-dev",
        shown_by: Sign::File("/usr/include/stdlib.h"),
        reason: "what gcc needs to link",
    },
    Need {
        package: "busybox-static",
        shown_by: Sign::Program("busybox"),
        reason: "a root directory for --image tests",
    },
    Need {
        package: "vim-tiny",
        shown_by: Sign::Program("vim.tiny"),
        reason: "workload: a full-screen program on a terminal",
    },
    Need {
        package: "nodejs",
        shown_by: Sign::Program("node"),
        reason: "workload: a server in a detached sandbox",
    },
    Need {
        package: "zsh",
        shown_by: Sign::Program("zsh"),
        reason: "shows that it takes its completions",
    },
    Need {
        package: "fish",
        shown_by: Sign::Program("fish"),
        reason: "shows that it takes its completions",
    },
    Need {
        package: "chromium",
        shown_by: Sign::Program("chromium"),
        reason: "opens the page of a probe's report",
    },
];

/// Tools that come with Rust, and how to get them where they were left out.
const COMPONENTS: [(&str, &str); 2] = [
    ("cargo-fmt", "rustup component add rustfmt"),
    ("cargo-clippy", "rustup component add clippy"),
];

/// Installs what is missing, where this process may.
pub fn run() -> Result<()> {
    for (program, remedy) in COMPONENTS {
        ensure!(
            present(program) || on_cargo_path(program),
            "{program} is missing: {remedy}"
        );
    }
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_there(&need.shown_by)).collect();
    for need in &missing {
        println!("missing: {} ({})", need.package, need.reason);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !user::is_root() {
        return tell_non_root(&packages);
    }
    if !packages.is_empty() {
        install(&packages)?;
    }
    let user = user::ensure_exists()?;
    println!(
        "setup: all {} packages are there; {} is user {}",
        NEEDS.len(),
        user::NAME,
        user.uid
    );
    Ok(())
}

fn tell_non_root(packages: &[&str]) -> Result<()> {
    if !packages.is_empty() {
        println!(
            "setup: not root, so nothing was installed. Tests that need these skip themselves. To have all:"
        );
        println!(
            "    sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    println!("setup: not root, so every test runs once, as this user");
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    ensure!(
        present("apt-get"),
        "there is no apt-get here: install what {} hold by this system's own means",
        packages.join(", ")
    );
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    let still: Vec<&str> = NEEDS
        .iter()
        .filter(|need| !is_there(&need.shown_by))
        .map(|need| need.package)
        .collect();
    ensure!(
        still.is_empty(),
        "apt-get succeeded but these are not there: {}",
        still.join(", ")
    );
    Ok(())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("running apt-get")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "apt-get {} failed: {}",
        arguments.join(" "),
        complaint.trim()
    );
    Ok(())
}

/// True if the program is on PATH (or where root's programs lie), or the file exists.
fn is_there(sign: &Sign) -> bool {
    match sign {
        Sign::Program(name) => present(name),
        Sign::File(path) => Path::new(path).exists(),
        Sign::Runs(command) => runs(command),
    }
}

fn runs(command: &[&str]) -> bool {
    let [program, arguments @ ..] = command else {
        return false;
    };
    std::process::Command::new(program)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// True if the program is on PATH, or where root's programs lie.
pub fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .any(|directory| directory.join(program).is_file())
}

/// Cargo finds its own subcommands beside itself, too.
fn on_cargo_path(program: &str) -> bool {
    let beside = std::env::var_os("CARGO").map(std::path::PathBuf::from);
    beside
        .and_then(|cargo| Some(cargo.parent()?.join(program).is_file()))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_present_and_nonsense_is_not() {
        assert!(is_there(&Sign::Program("sh")));
        assert!(!is_there(&Sign::Program("no-such-program-anywhere")));
        assert!(is_there(&Sign::File("/bin/sh")));
        assert!(is_there(&Sign::Runs(&["sh", "-c", "exit 0"])));
        assert!(!is_there(&Sign::Runs(&["sh", "-c", "exit 1"])));
    }

    #[test]
    fn every_need_is_listed_once_with_a_reason() {
        let mut packages: Vec<&str> = NEEDS.iter().map(|need| need.package).collect();
        packages.sort_unstable();
        packages.dedup();
        assert_eq!(packages.len(), NEEDS.len());
        assert!(NEEDS.iter().all(|need| !need.reason.is_empty()));
    }
}
