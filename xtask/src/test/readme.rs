//! The first thing that a newcomer types must work as the README says.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Report, Stage};

/// How its line begins.
const COMMAND: &str = "cargo run --release -- run -- ";

/// Runs the README's command: it lists processes, and must not see this one.
pub fn command(stage: &mut Stage) -> Result<Report> {
    let line = promised(&stage.tree.read("README.md".as_ref())?)?;
    let own = format!("'{}'", std::process::id());
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
