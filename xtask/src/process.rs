//! Runs programs with a time limit, a full log and a look at every line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How long output may still come after the program itself has ended: a process that it
/// left behind may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(100);

/// Which of a program's streams a line came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a program ended.
pub struct Finished {
    /// Its status; none if it was killed at the time limit.
    pub status: Option<ExitStatus>,
    /// Where everything that it said stands.
    pub log: PathBuf,
}

impl Finished {
    /// How it failed, and where to read more; none if it did not.
    pub fn problem(&self) -> Option<String> {
        let log = self.log.display();
        match self.status {
            Some(status) if status.success() => None,
            Some(status) => Some(format!("{status}; full log: {log}")),
            None => Some(format!("killed at its time limit; full log: {log}")),
        }
    }
}

/// Runs `command` without input; writes all that it says to `log` and shows it to `see`.
pub fn run(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    see: &mut dyn FnMut(Stream, &str),
) -> Result<Finished> {
    let mut file = File::create(log).with_context(|| format!("making {}", log.display()))?;
    writeln!(file, "$ {command:?}")?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let lines = read_streams(&mut child);
    let mut keep = |(stream, line): (Stream, String)| -> Result<()> {
        writeln!(file, "{line}")?;
        see(stream, &line);
        Ok(())
    };
    let status = wait(&mut child, &lines, limit, &mut keep)?;
    let drained = Instant::now() + DRAIN;
    while let Ok(line) = lines.recv_timeout(drained.saturating_duration_since(Instant::now())) {
        keep(line)?;
    }
    Ok(Finished {
        status,
        log: log.to_path_buf(),
    })
}

fn wait(
    child: &mut Child,
    lines: &Receiver<(Stream, String)>,
    limit: Duration,
    keep: &mut dyn FnMut((Stream, String)) -> Result<()>,
) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => keep(line)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK / 10),
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            kill_tree(child.id());
            child.wait()?;
            return Ok(None);
        }
    }
}

fn read_streams(child: &mut Child) -> Receiver<(Stream, String)> {
    let (sender, lines) = channel();
    if let Some(out) = child.stdout.take() {
        pass_lines(out, Stream::Out, sender.clone());
    }
    if let Some(err) = child.stderr.take() {
        pass_lines(err, Stream::Err, sender);
    }
    lines
}

fn pass_lines(from: impl Read + Send + 'static, stream: Stream, sender: Sender<(Stream, String)>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if sender.send((stream, line)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// Kills a process and all that descend from it, parents first so that none is replaced.
fn kill_tree(root: u32) {
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        waiting.extend(children(id));
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended already: that is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The children of every thread of a process.
pub fn children(id: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str, limit: Duration) -> (Finished, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = place.path().join("log");
        let finished = run(&mut command, &log, limit, &mut |_, line| {
            seen.push(line.to_owned())
        })
        .unwrap();
        (finished, seen)
    }

    #[test]
    fn every_line_of_both_streams_is_seen() {
        let (finished, mut seen) = run_shell("echo a; echo b >&2; printf c", Duration::from_secs(60));
        seen.sort();
        assert!(finished.problem().is_none());
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn a_failing_program_has_a_problem() {
        let (finished, _) = run_shell("exit 3", Duration::from_secs(60));
        assert!(finished.problem().unwrap().contains("exit status: 3"));
    }

    #[test]
    fn the_limit_ends_the_whole_tree() {
        let begin = Instant::now();
        let (finished, _) = run_shell("sleep 300 & sleep 300", Duration::from_millis(300));
        assert!(finished.problem().unwrap().contains("time limit"));
        assert!(begin.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn a_process_left_behind_holds_nothing_up() {
        let begin = Instant::now();
        let (finished, seen) = run_shell("setsid sleep 200 & echo $!", Duration::from_secs(150));
        kill_tree(seen[0].parse().unwrap());
        assert!(finished.problem().is_none());
        assert!(begin.elapsed() < Duration::from_secs(100));
    }
}
