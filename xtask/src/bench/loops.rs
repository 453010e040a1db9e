//! What system calls and file reads cost inside, beside outside.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::measure::median;
use super::rows::Row;

const SOURCE: &str = include_str!("loops.c");
const FILES: usize = 200;
const FILE_BYTES: usize = 4096;
/// What the loops may cost inside.
const BAR: f64 = 1.03;

/// Name and arguments of each loop; long enough to count, short enough to repeat.
const LOOPS: [(&str, &[&str]); 2] = [
    ("1,000,000 system calls", &["syscalls", "1000000"]),
    ("40,000 files of the workspace read", &["files", "200", "files"]),
];

/// Builds the loops and runs them inside and outside in turn.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    prepare(&bench.place.workspace())?;
    let mut rows = Vec::new();
    for (name, arguments) in LOOPS {
        let command = [&["./loops"], arguments].concat();
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        // The first of each only warms the page cache.
        for round in 0..=bench.runs {
            let outer = || milliseconds(bench.place.outside(Path::new("./loops")).args(arguments));
            let inner = || milliseconds(&mut bench.place.run(&[], &command));
            // Nobody always comes second.
            let (inner, outer) = if round % 2 == 0 {
                let inner = inner()?;
                (inner, outer()?)
            } else {
                let outer = outer()?;
                (inner()?, outer)
            };
            if round > 0 {
                inside.push(inner);
                outside.push(outer);
            }
        }
        rows.push(
            Row::new(name, median(&inside), "ms")
                .beside("outside", median(&outside))
                .at_most(BAR),
        );
    }
    Ok(rows)
}

fn prepare(workspace: &Path) -> Result<()> {
    let files = workspace.join("files");
    std::fs::create_dir_all(&files)?;
    for number in 0..FILES {
        std::fs::write(files.join(number.to_string()), vec![b'x'; FILE_BYTES])?;
    }
    let source = workspace.join("loops.c");
    std::fs::write(&source, SOURCE)?;
    let status = Command::new("gcc")
        .args(["-O2", "-static", "-o"])
        .arg(workspace.join("loops"))
        .arg(&source)
        .status()
        .context("running gcc: `cargo xtask setup` installs it")?;
    ensure!(status.success(), "gcc could not build the loops: {status}");
    Ok(())
}

fn milliseconds(command: &mut Command) -> Result<f64> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed: {}: {}",
        output.status,
        complaint.trim()
    );
    let nanoseconds: f64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .context("reading its time")?;
    Ok(nanoseconds / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loops_build_and_time_themselves() {
        if Command::new("gcc").arg("--version").output().is_err() {
            crate::summary::skip("the_loops_build_and_time_themselves", "gcc is missing");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        prepare(place.path()).unwrap();
        for (_, arguments) in LOOPS {
            let mut command = Command::new(place.path().join("loops"));
            assert!(milliseconds(command.args(arguments).current_dir(place.path())).unwrap() > 0.0);
        }
    }
}
