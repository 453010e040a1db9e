//! The first thing that a newcomer types must work as the README says.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Report, Stage};

/// How its line begins.
const COMMAND: &str = "cargo run --release -- run -- ";

/// So many that the last one's number is none of the few that are given inside: this process
/// may have a low one, as in a container.
const CANARIES: usize = 20;

/// Processes outside, which end with this value.
struct Canaries(Vec<Child>);

impl Canaries {
    fn start() -> Result<Self> {
        let mut all = Self(Vec::new());
        for _ in 0..CANARIES {
            let canary = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn();
            all.0.push(canary.context("starting sleep")?);
        }
        Ok(all)
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        for canary in &mut self.0 {
            // One that has ended already is as good.
            let _ = canary.kill().and_then(|()| canary.wait());
        }
    }
}

/// Runs the README's command: it lists processes, and must not see those outside.
pub fn command(stage: &mut Stage) -> Result<Report> {
    let line = promised(&stage.tree.read("README.md".as_ref())?)?;
    let canaries = Canaries::start()?;
    let last = canaries.0.iter().map(Child::id).max();
    let own = format!("'{}'", last.context("no canary")?);
    let outside = shell(stage, line.strip_prefix(COMMAND).unwrap_or(&line))?;
    ensure!(
        outside.contains(&own),
        "the same command outside does not list process {own}: it shows nothing"
    );
    let inside = shell(stage, &line)?;
    ensure!(
        inside.contains("'1'"),
        "inside, no process was listed: {}",
        inside.trim()
    );
    ensure!(
        !inside.contains(&own),
        "inside, a process of the host is listed: {}",
        inside.trim()
    );
    Ok(Report::passed())
}

fn promised(readme: &str) -> Result<String> {
    let line = readme
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(COMMAND));
    Ok(line
        .with_context(|| format!("README.md has no line that begins with `{COMMAND}`"))?
        .to_owned())
}

fn shell(stage: &Stage, line: &str) -> Result<String> {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(&stage.tree.root)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{line}` failed: {}: {}",
        output.status,
        complaint.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found() {
        let readme = "# X\n\n    cargo run --release -- run -- true\n";
        assert_eq!(promised(readme).unwrap(), "cargo run --release -- run -- true");
        assert!(promised("# X").is_err());
    }
}
