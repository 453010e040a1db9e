//! Timing whole commands.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Samples that warm caches and are thrown away.
const WARM_UP: usize = 3;

/// A command that is timed beside others.
pub struct Contender {
    /// What the table calls it.
    pub name: String,
    /// Makes it anew for every sample.
    pub make: Box<dyn Fn() -> Command + Send + Sync>,
}

impl Contender {
    /// A contender.
    pub fn new(name: &str, make: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            make: Box::new(make),
        }
    }

    /// Wall time from before the start to after the end; a failing command is an error.
    pub fn time(&self) -> Result<Duration> {
        let mut command = (self.make)();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        let status = child.wait()?;
        let time = begin.elapsed();
        if status.success() {
            return Ok(time);
        }
        // Once more, to hear why.
        let output = (self.make)().stdin(Stdio::null()).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({status}; once more: {}): {}",
            self.name,
            output.status,
            complaint.trim()
        )
    }
}

/// Times all contenders in turn, `runs` times each, `gap` apart. The order rotates, so
/// that nobody always comes after the same neighbour. Milliseconds, a list each.
pub fn interleaved(contenders: &[Contender], runs: usize, gap: Duration) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(runs); contenders.len()];
    for round in 0..WARM_UP + runs {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            std::thread::sleep(gap);
            let time = contenders[index].time()?;
            if round >= WARM_UP {
                times[index].push(time.as_secs_f64() * 1000.0);
            }
        }
    }
    Ok(times)
}

/// The middle of the samples.
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50)
}

/// The sample that `percent` of all do not exceed; of an even count's middle, the mean.
pub fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if percent == 50 && count % 2 == 0 => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        count => sorted[(count * percent).div_ceil(100).clamp(1, count) - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&hundred, 99) - 99.0).abs() < 1e-9);
        assert!((percentile(&[5.0], 99) - 5.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn every_contender_gets_all_its_runs() {
        let both = [
            Contender::new("a", || Command::new("true")),
            Contender::new("b", || Command::new("true")),
        ];
        let times = interleaved(&both, 2, Duration::ZERO).unwrap();
        assert!(times.iter().all(|list| list.len() == 2));
    }

    #[test]
    fn a_failing_contender_says_why() {
        let failing = Contender::new("it", || {
            let mut command = Command::new("sh");
            command.args(["-c", "echo the reason >&2; exit 1"]);
            command
        });
        assert!(failing.time().unwrap_err().to_string().contains("the reason"));
    }
}
