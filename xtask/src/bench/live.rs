//! What live sandboxes cost in memory.

use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::place::Live;
use super::rows::Row;
use crate::process::children;

/// The most that a supervisor may take.
const SHIM_MIB: f64 = 8.0;
/// How many start at the same time: the point is how many live.
const STARTING: usize = 8;

/// One alone, then all of them.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = alone(bench)?;
    let free_before = available_mib()?;
    let sandboxes = start(bench)?;
    let alive = sandboxes.iter().filter(|live| is_alive(live.shim.id())).count();
    ensure!(
        alive == bench.live,
        "only {alive} of {} sandboxes live",
        bench.live
    );
    let used = free_before - available_mib()?;
    let count = f64::from(u32::try_from(alive)?);
    rows.push(Row::new("sandboxes that live at the same time", count, ""));
    rows.push(Row::new(
        "memory of the machine that one of them takes",
        used / count,
        "MiB",
    ));
    let shims: Result<Vec<f64>> = sandboxes.iter().map(|live| pss_mib(live.shim.id())).collect();
    let mean = shims?.iter().sum::<f64>() / count;
    rows.push(Row::new("supervisor of one among many, mean Pss", mean, "MiB").at_most(SHIM_MIB));
    Ok(rows)
}

/// A sandbox alone shares no page with another of its kind: the worst case.
fn alone(bench: &Bench) -> Result<Vec<Row>> {
    let live = Live::start(&bench.place, "bench-alone")?;
    let shim = live.shim.id();
    let mut rows = vec![Row::new("supervisor of one alone, Pss", pss_mib(shim)?, "MiB").at_most(SHIM_MIB)];
    let guest = children(shim)
        .first()
        .copied()
        .context("the supervisor has no child: where is the guest?");
    rows.push(match guest.and_then(pss_mib) {
        Ok(guest) => Row::new("guest (PID 1 inside) of one alone, Pss", guest, "MiB"),
        // Without root the guest, being protected, does not show its memory to us either.
        Err(error) => Row::not_measured("guest (PID 1 inside), Pss", &format!("{error:#}")),
    });
    Ok(rows)
}

/// Starts as many as the options say; they live until they are dropped.
pub fn start(bench: &Bench) -> Result<Vec<Live>> {
    let waiting = Mutex::new(0..bench.live);
    let next = || waiting.lock().ok().and_then(|mut numbers| numbers.next());
    let work = || -> Result<Vec<Live>> {
        let mut started = Vec::new();
        while let Some(number) = next() {
            started.push(Live::start(&bench.place, &format!("bench-{number}"))?);
        }
        Ok(started)
    };
    let lists: Result<Vec<Vec<Live>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..STARTING).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a starter died")))
            .collect()
    });
    Ok(lists?.into_iter().flatten().collect())
}

/// A process that has ended but was not waited for does not live.
fn is_alive(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn pss_mib(id: u32) -> Result<f64> {
    let file = format!("/proc/{id}/smaps_rollup");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    kib_line(&text, "Pss:")
        .map(|kib| kib / 1024.0)
        .with_context(|| format!("{file} has no Pss"))
}

fn available_mib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    kib_line(&text, "MemAvailable:")
        .map(|kib| kib / 1024.0)
        .context("/proc/meminfo has no MemAvailable")
}

fn kib_line(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kibibytes() {
        let text = "Rss: 9 kB\nPss:            2048 kB\nPss_Anon: 1 kB\n";
        assert!((kib_line(text, "Pss:").unwrap() - 2048.0).abs() < 1e-9);
        assert!(kib_line(text, "Swap:").is_none());
    }

    #[test]
    fn this_process_lives_and_has_memory() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0));
        assert!(pss_mib(std::process::id()).unwrap() > 0.0);
    }
}
