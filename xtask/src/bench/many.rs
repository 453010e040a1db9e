//! Many sandboxes: at once, and one after the other for some time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::measure::{Contender, percentile};
use super::peers;
use super::rows::Row;

/// How many start at the same time.
const AT_ONCE: usize = 50;
/// How often; all samples count together.
const ROUNDS: usize = 4;
/// How long creations follow each other.
const SUSTAINED: Duration = Duration::from_secs(10);

/// Fifty at once, then as many as possible.
pub fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let view = peers::bwrap_arguments(&bench.place)?;
    let (own, other) = (bench.place.clone(), bench.place.clone());
    let stockade = Contender::new("stockade", move || own.run(&[], &["/bin/true"]));
    let bwrap = Contender::new("bwrap", move || peers::bwrap(&other, &view, &["/bin/true"]));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.extend(at_once(&stockade, AT_ONCE)?);
        theirs.extend(at_once(&bwrap, AT_ONCE)?);
    }
    let mut rows = Vec::new();
    for percent in [50, 99] {
        let (own, other) = (percentile(&ours, percent), percentile(&theirs, percent));
        rows.push(Row::new(&format!("{AT_ONCE} runs at once, p{percent}"), own, "ms").beside("bwrap", other));
    }
    let (own, other) = (sustained(&stockade)?, sustained(&bwrap)?);
    rows.push(Row::new("sustained runs a second", own, "/s").beside("bwrap", other));
    Ok(rows)
}

/// Milliseconds of each of `count` runs that start together.
fn at_once(contender: &Contender, count: usize) -> Result<Vec<f64>> {
    let barrier = std::sync::Barrier::new(count);
    let times: Result<Vec<Duration>> = std::thread::scope(|scope| {
        let timed = || {
            barrier.wait();
            contender.time()
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(timed)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a timer died")))
            .collect()
    });
    Ok(times?
        .into_iter()
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect())
}

/// Runs a second, with two starting for each processor.
fn sustained(contender: &Contender) -> Result<f64> {
    let workers = 2 * std::thread::available_parallelism()?.get();
    let done = AtomicUsize::new(0);
    let begin = Instant::now();
    let work = || -> Result<()> {
        while begin.elapsed() < SUSTAINED {
            contender.time()?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a worker died")))
    })?;
    let count = u32::try_from(done.load(Ordering::Relaxed))?;
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_start_together_are_timed() {
        let contender = Contender::new("true", || std::process::Command::new("true"));
        assert_eq!(at_once(&contender, 5).unwrap().len(), 5);
    }
}
