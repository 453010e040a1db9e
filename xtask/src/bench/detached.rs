//! Sandboxes that live without a terminal: coming back to one, and what an idle one costs.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::measure::median;
use super::place::Place;
use super::rows::Row;

const ATTACH_MS: f64 = 20.0;
/// How long an idle supervisor is looked at, after it has come to rest.
const WATCHED: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(2);
/// What `ls` finds it by.
const NAME: &str = "bench-detached";

/// A detached sandbox that ends with this.
struct Detached<'a>(&'a Place);

impl<'a> Detached<'a> {
    fn start(place: &'a Place, script: &str) -> Result<Self> {
        let flags = ["-q", "-d", "--rm", "--ttl", "1h", "--idle", "1h", "--name", NAME];
        let output = place.run(&flags, &["/bin/sh", "-c", script]).output()?;
        ensure!(
            output.status.success(),
            "no detached sandbox was made: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self(place))
    }

    fn supervisor(&self) -> Result<u32> {
        let output = self.0.stockade(&["inspect", "--json", NAME]).output()?;
        let known: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading inspect")?;
        let pid = known["supervisor_pid"]
            .as_u64()
            .context("inspect names no supervisor")?;
        Ok(u32::try_from(pid)?)
    }
}

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        // What does not end is found by the `gc` at the end, which tells.
        let _ = self.0.stockade(&["stop", "--grace", "0s", NAME]).output();
    }
}

/// From the start of `stockade attach` to the first byte.
pub fn attach(bench: &Bench) -> Result<Vec<Row>> {
    let _live = Detached::start(&bench.place, "echo here; exec sleep 3600")?;
    until_logged(&bench.place, "here")?;
    let mut times = Vec::new();
    for _ in 0..bench.runs {
        times.push(first_byte(&bench.place)?.as_secs_f64() * 1000.0);
    }
    Ok(vec![
        Row::new("stockade attach, to the first byte", median(&times), "ms").at_most(ATTACH_MS),
    ])
}

fn first_byte(place: &Place) -> Result<Duration> {
    let mut command = place.stockade(&["attach", "-q", "--from", "0", NAME]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn().context("starting stockade attach")?;
    let mut first = [0];
    let read = child
        .stdout
        .take()
        .context("its standard output is a pipe")?
        .read_exact(&mut first);
    let time = begin.elapsed();
    let _ = child.kill();
    child.wait()?;
    read.context("stockade attach ended without a byte")?;
    Ok(time)
}

fn until_logged(place: &Place, text: &str) -> Result<()> {
    let deadline = Instant::now() + WATCHED;
    while Instant::now() < deadline {
        let logged = place.stockade(&["logs", NAME]).output()?;
        if String::from_utf8_lossy(&logged.stdout).contains(text) {
            return Ok(());
        }
        std::thread::sleep(WATCHED / 1000);
    }
    anyhow::bail!("the sandbox never wrote {text}")
}

/// Processor time and wake-ups of a supervisor whose sandbox does nothing.
pub fn idle(bench: &Bench) -> Result<Vec<Row>> {
    let live = Detached::start(&bench.place, "exec sleep 3600")?;
    let supervisor = live.supervisor()?;
    std::thread::sleep(REST);
    let (ticks, wakes) = (ticks(supervisor)?, wakes(supervisor)?);
    std::thread::sleep(WATCHED);
    let (ticks, wakes) = (self::ticks(supervisor)? - ticks, self::wakes(supervisor)? - wakes);
    let of = |what: &str| format!("{what} of an idle supervisor in {} s", WATCHED.as_secs());
    Ok(vec![
        Row::new(&of("clock ticks"), ticks, "").at_most(0.0),
        Row::new(&of("wake-ups"), wakes, "").at_most(0.0),
    ])
}

/// User and system time of all threads.
fn ticks(process: u32) -> Result<f64> {
    let file = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    parse_ticks(&text).with_context(|| format!("{file} has no times"))
}

/// The 14th and the 15th field; the second may hold blanks and parentheses.
fn parse_ticks(text: &str) -> Option<f64> {
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// How often a thread of it has slept.
fn wakes(process: u32) -> Result<f64> {
    let mut total = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("status"))?;
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        total += count.context("no switches are counted")?.trim().parse::<f64>()?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let text = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 14 15 16";
        assert_eq!(parse_ticks(text), Some(29.0));
        assert_eq!(parse_ticks("7 (a"), None);
    }

    #[test]
    fn a_process_has_both_figures() {
        // Not this one: threads of other tests end while they are listed.
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let figures = (ticks(child.id()), wakes(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(figures.0.unwrap() >= 0.0 && figures.1.unwrap() >= 0.0);
    }
}
