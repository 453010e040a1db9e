//! An ordinary machine as a test bed: Debian with systemd, control groups of version 2, AppArmor and
//! a user's own systemd, booted in QEMU. What hosts without a virtual machine are tested on may be
//! none of that.
//!
//! The machine is emulated (TCG), so that it is the same everywhere; its image is made once and kept
//! below the target directory.

mod image;
mod output;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{self, Finished, Stream};
use crate::tree::Tree;
use image::Image;
use output::Output;

/// From the first instruction to power-off; emulation is slow, and the host may be busy.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// Memory of the machine.
const MEMORY_MIB: u32 = 2048;

/// Groups of the conformance suite that depend on what such a machine has and others have not.
const GROUPS: [&str; 4] = ["exits", "endings", "posture", "resources"];

/// Programs that make and boot the machine, and the packages that have them.
const NEEDED: [(&str, &str); 3] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
];

const INSIDE: &str = include_str!("inside.sh");

/// The programs that are run on the machine.
struct Programs {
    /// The release program.
    stockade: PathBuf,
    /// The conformance suite.
    conformance: PathBuf,
    /// The integration tests of the crate for the kernel's interfaces.
    linux: PathBuf,
}

/// Boots the machine, runs the tests on it, and tells what each section said.
fn run(tree: &Tree, programs: &Programs, see: &mut dyn FnMut(&str)) -> Result<(Output, Finished)> {
    let image = Image::get(&tree.target.join("vm"), tree)?;
    let payload = payload(&image.directory, programs)?;
    let mut output = Output::default();
    let log = tree.logs()?.join("vm.log");
    let console = tree.logs()?.join("vm-console.log");
    let mut command = qemu(&image, &payload, &console);
    let finished = process::run(&mut command, &log, LIMIT, &mut |stream, line| {
        if stream == Stream::Out {
            output.see(line);
            see(line);
        }
    })?;
    Ok((output, finished))
}

/// The second disk: what changes with each build.
fn payload(place: &Path, programs: &Programs) -> Result<PathBuf> {
    let directory = place.join("payload");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory)?;
    for (name, program) in [
        ("stockade", &programs.stockade),
        ("conformance", &programs.conformance),
        ("linux-it", &programs.linux),
    ] {
        let copy = directory.join(name);
        std::fs::copy(program, copy).with_context(|| format!("copying {}", program.display()))?;
    }
    std::fs::write(directory.join("run"), INSIDE.replace("GROUPS", &GROUPS.join(" ")))?;
    let disk = place.join("payload.img");
    image::disk(&directory, &disk, 512)?;
    Ok(disk)
}

/// Nothing of the host is reachable from the machine: it has two disks and two serial lines.
fn qemu(image: &Image, payload: &Path, console: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-M",
            "q35",
            "-smp",
            "2",
        ])
        .arg("-m")
        .arg(MEMORY_MIB.to_string())
        .arg("-kernel")
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initrd)
        .arg("-append")
        .arg(format!(
            "root=/dev/vda rw console=ttyS0 panic=-1 reboot=t quiet no_timer_check tsc=reliable \
             random.trust_cpu=on {}",
            clock()
        ))
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=virtio,snapshot=on",
            image.root.display()
        ))
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=virtio,readonly=on",
            payload.display()
        ))
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"]);
    command
}

/// On a busy host the kernel cannot measure the clock that it gets from QEMU (`Unable to calibrate
/// against PIT`), which is this machine's own.
fn clock() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let speed = text.lines().find_map(|line| {
        line.strip_prefix("cpu MHz")?
            .split(':')
            .nth(1)?
            .trim()
            .parse::<f64>()
            .ok()
    });
    speed.map_or_else(String::new, |mhz| format!("tsc_early_khz={:.0}", mhz * 1000.0))
}

/// Builds what is run there, and runs it: `cargo xtask vm`.
pub fn command(tree: &Tree) -> Result<()> {
    ensure!(
        crate::user::is_root(),
        "run it as root: the machine's image is made by root"
    );
    for (program, package) in NEEDED {
        ensure!(
            crate::setup::present(program),
            "{program} is missing: apt-get install {package}"
        );
    }
    let tests = crate::build::tests(tree)?;
    let programs = Programs::find(crate::build::release(tree)?, &tests, tree)?;
    let (output, finished) = run(tree, &programs, &mut |line| println!("{line}"))?;
    let problems = output.problems(&finished);
    problems.iter().for_each(|problem| println!("FAILED {problem}"));
    println!("{}", output.counts());
    ensure!(problems.is_empty(), "{} problems", problems.len());
    Ok(())
}

impl Programs {
    /// Takes those that are needed from what was built.
    fn find(stockade: PathBuf, tests: &[crate::build::Program], tree: &Tree) -> Result<Self> {
        let of = |package: &str, name: &str| {
            let package = tree.root.join(package);
            let found = tests
                .iter()
                .find(|test| test.package == package && test.name == name);
            found
                .map(|test| test.path.clone())
                .with_context(|| format!("cargo built no test program {name} of {}", package.display()))
        };
        Ok(Self {
            stockade,
            conformance: of("crates/conformance", "conformance")?,
            linux: of("crates/linux", "it")?,
        })
    }
}
