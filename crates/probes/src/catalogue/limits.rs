//! Limits: each is attacked below a small one, and with a higher one or none as the control.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stockade_domain::ControlKind;

use crate::canary::Proof;
use crate::denial::Denial;
use crate::run::{Running, outside};
use crate::{
    Field, Finished, Probe, Setting, Severity, Verdict, broken, ensure, ensure_sound, fail, host, skip,
};

/// Longer than any limit takes to act, on any machine.
const DEADLINE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

const MEMORY: &[ControlKind] = &[ControlKind::Memory];

pub const ALL: &[Probe] = &[
    Probe::question("RS01", Severity::High, "a fork bomb", fork_bomb)
        .needs(&[ControlKind::Pids])
        .small(),
    Probe::question("RS01-threads", Severity::High, "a flood of threads", thread_bomb)
        .needs(&[ControlKind::Pids])
        .small(),
    Probe::question("RS02", Severity::High, "memory beyond the limit", memory)
        .needs(MEMORY)
        .small(),
    Probe::question(
        "RS02-told",
        Severity::Medium,
        "a kill at the memory limit that looks like a crash",
        told,
    )
    .needs(MEMORY)
    .small(),
    Probe::question(
        "RS03",
        Severity::High,
        "memory in files without a name",
        |field| hidden(field, "memfd"),
    )
    .needs(MEMORY)
    .small(),
    Probe::question("RS03-tmp", Severity::High, "memory in files of /tmp", |field| {
        hidden(field, "tmpfs")
    })
    .needs(MEMORY)
    .small(),
    Probe::question(
        "RS03-shm",
        Severity::High,
        "memory in files of /dev/shm",
        |field| hidden(field, "shm"),
    )
    .needs(MEMORY)
    .small(),
    Probe::question("RS03-pipes", Severity::High, "memory in pipes", |field| {
        hidden(field, "pipes")
    })
    .needs(MEMORY)
    .small(),
    Probe::question(
        "RS03-sockets",
        Severity::High,
        "memory in the buffers of sockets",
        |field| hidden(field, "sockets"),
    )
    .needs(MEMORY)
    .small(),
    Probe::question(
        "RS04",
        Severity::Medium,
        "the host's memory as a cache of what is written",
        page_cache,
    )
    .needs(MEMORY)
    .small(),
    Probe::question(
        "RS05",
        Severity::Medium,
        "more open files than whoever starts Stockade may have",
        open_files,
    )
    .small(),
    Probe::question("RS06", Severity::High, "filling the disk", disk)
        .needs(&[ControlKind::Disk])
        .small(),
    Probe::question("RS09", Severity::High, "a flood of output", output)
        .needs(&[ControlKind::Output])
        .small(),
    Probe::question(
        "RS09-memory",
        Severity::High,
        "a flood of output that the supervisor would have to keep",
        output_memory,
    )
    .small(),
    Probe::question(
        "RS10-cpu",
        Severity::Medium,
        "more processor time than the quota",
        processor,
    )
    .needs(&[ControlKind::Cpu])
    .small(),
    Probe::question(
        "RS11",
        Severity::High,
        "processes that neither hear nor run, when the time is over",
        time_is_over,
    )
    .needs(&[ControlKind::WallTime])
    .small(),
    Probe::question(
        "RS12",
        Severity::Medium,
        "ended processes that nobody waits for",
        zombies,
    )
    .small(),
    Probe::question(
        "RS13",
        Severity::Medium,
        "terminals out of the host's own number of them",
        terminals,
    )
    .needs(&[ControlKind::OwnKernel])
    .small(),
    Probe::question("RS14", Severity::Medium, "a core file of a crash", core_file),
    Probe::denial(
        "RS15",
        Severity::Low,
        "lines in the system's log",
        Denial::new("RS15", Proof::plant).control_if("this user can write to none of the host's logs"),
    )
    .needs(&[ControlKind::DevicesHidden, ControlKind::LocalSocketsHidden]),
];

/// Runs a load in a sandbox; what cannot be limited is not, and shows itself.
fn load(field: &Field, flags: &[&str], words: &[&str]) -> Verdict<Finished> {
    let words: Vec<String> = std::iter::once("load")
        .chain(words.iter().copied())
        .map(str::to_owned)
        .collect();
    field.sandbox().flags(flags).attack(&words)
}

/// What a load got, by its own count; nothing if it was ended before.
fn counted(finished: &Finished) -> Option<u64> {
    let line = finished
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("GOT "))?;
    line.split(' ').next()?.parse().ok()
}

/// What a load got that ran to its end.
fn got(finished: &Finished) -> Verdict<u64> {
    match counted(finished) {
        Some(count) => Ok(count),
        None => broken(format!(
            "the load did not run to its end: exit {} ({}): {}",
            finished.code,
            finished.cause(),
            finished.all()
        )),
    }
}

/// The control: outside, the load gets all that it asks for.
fn all_outside(field: &Field, kind: &str, bound: u64) -> Verdict {
    let words = ["load".to_owned(), kind.to_owned(), bound.to_string()];
    let control = got(&field.ground.outside(&[], &[], &words)?)?;
    ensure_sound!(control >= bound, "the control got {control} of {bound}");
    Ok(())
}

fn fork_bomb(field: &Field) -> Verdict {
    processes(field, "fork")
}

fn thread_bomb(field: &Field) -> Verdict {
    processes(field, "threads")
}

fn processes(field: &Field, kind: &str) -> Verdict {
    const LIMIT: u64 = 64;
    all_outside(field, kind, 3 * LIMIT)?;
    let flags = ["--pids", "64", "--prefer", "pids"];
    let count = got(&load(field, &flags, &[kind, "192"])?)?;
    ensure!(count < LIMIT, "{count} below a limit of {LIMIT}");
    ensure_sound!(count > 0, "it got none at all");
    Ok(())
}

/// Runs a load of memory below a limit; passes if it did not get more.
fn bounded(field: &Field, limit: u64, kind: &str, bound: u64) -> Verdict<Finished> {
    let limit_text = format!("{}M", limit / MIB);
    let flags = ["--memory", &limit_text, "--prefer", "memory"];
    let finished = load(field, &flags, &[kind, &bound.to_string()])?;
    match counted(&finished) {
        Some(count) => ensure!(count <= limit, "{count} bytes below a limit of {limit}"),
        None => ensure_sound!(
            finished.cause() == "out-of-memory",
            "it ended for another reason: exit {} ({}): {}",
            finished.code,
            finished.cause(),
            finished.all()
        ),
    }
    Ok(finished)
}

fn memory(field: &Field) -> Verdict {
    all_outside(field, "memory", 96 * MIB)?;
    bounded(field, 64 * MIB, "memory", 96 * MIB).map(drop)
}

fn told(field: &Field) -> Verdict {
    let flags = ["--memory", "64M", "--prefer", "memory"];
    // The control: a kill by somebody else is told as such.
    let words = ["do".to_owned(), "signal".to_owned(), "9".to_owned()];
    let killed = field.sandbox().flags(&flags).attack(&words)?;
    ensure_sound!(
        killed.code == 137 && killed.cause() == "signal",
        "the control ended with {} ({})",
        killed.code,
        killed.cause()
    );
    let finished = load(field, &flags, &["memory", &(96 * MIB).to_string()])?;
    ensure!(
        finished.cause() == "out-of-memory",
        "told as {}, exit {}",
        finished.cause(),
        finished.code
    );
    let kills = finished
        .ended()
        .and_then(|event| event["usage"]["oom_kills"].as_u64());
    ensure!(kills >= Some(1), "{kills:?} kills are counted");
    Ok(())
}

/// Memory that is no process's own.
fn hidden(field: &Field, kind: &str) -> Verdict {
    let bound = 48 * MIB;
    let free = load(
        field,
        &["--memory", "512M", "--prefer", "memory"],
        &[kind, &bound.to_string()],
    )?;
    let had = got(&free)?;
    if had < bound {
        return skip(format!(
            "inconclusive: {} MiB of it can be had with a higher limit",
            had / MIB
        ));
    }
    bounded(field, 32 * MIB, kind, bound).map(drop)
}

/// The most memory that was used, by the kernel's count.
fn peak(finished: &Finished) -> Verdict<u64> {
    let peak = finished
        .ended()
        .and_then(|event| event["usage"]["memory_peak_bytes"].as_u64());
    peak.map_or_else(
        || skip("inconclusive: nobody counts what a sandbox uses here"),
        Ok,
    )
}

fn page_cache(field: &Field) -> Verdict {
    let bound = (64 * MIB).to_string();
    let limit = 32 * MIB;
    let free = load(
        field,
        &["--memory", "512M", "--prefer", "memory"],
        &["disk", &bound],
    )?
    .expect(0)?;
    let control = peak(&free)?;
    ensure_sound!(control > limit, "the control used {control} bytes");
    let finished = load(
        field,
        &["--memory", "32M", "--prefer", "memory"],
        &["disk", &bound],
    )?;
    let used = peak(&finished)?;
    ensure!(used <= limit, "{used} bytes below a limit of {limit}");
    Ok(())
}

fn open_files(field: &Field) -> Verdict {
    const FILES: &str = "7";
    let payload = field.ground.helper().display().to_string();
    let words = ["RS05".to_owned(), "400".to_owned()];
    let control = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(
        control.text().contains("REACHED"),
        "the control: {}",
        control.all()
    );
    let launcher = [payload.as_str(), "launch", "--hard-limit", FILES, "300", "--"];
    let finished = field.sandbox().launcher(&launcher).attack(&words)?;
    ensure!(!finished.text().contains("REACHED"), "{}", finished.all());
    ensure_sound!(finished.text().contains("DONE"), "{}", finished.all());
    Ok(())
}

fn disk(field: &Field) -> Verdict {
    let words = ["load", "held", "disk", "25165824"];
    // The control: below a higher limit it stays as long as it likes.
    let mut free = start(field, &["--disk", "1G", "--prefer", "disk"], &words)?;
    free.until_output("held 25165824")?;
    free.feed(Vec::new());
    free.wait()?.expect(0)?;
    let mut running = start(field, &["--disk", "8M", "--prefer", "disk"], &words)?;
    running.until_started()?;
    if let Some(why) = given_up(&running, "disk") {
        return fail(format!("nobody bounds it: {why}"));
    }
    let begun = Instant::now();
    while running.is_running()? {
        if begun.elapsed() > DEADLINE {
            return fail(format!(
                "it wrote more than the limit and runs after {} s: {}",
                DEADLINE.as_secs(),
                String::from_utf8_lossy(&running.output())
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let finished = running.wait()?;
    let why = finished.ended().and_then(|event| event["why"].as_str());
    ensure_sound!(
        why.is_some_and(|why| why.contains("disk")),
        "it ended for another reason: {} {why:?}: {}",
        finished.cause(),
        finished.all()
    );
    Ok(())
}

/// Why a sandbox stands without a limit that it was to have.
fn given_up(running: &Running, limit: &str) -> Option<String> {
    let events = running.events();
    let shortfalls = events.iter().find_map(|event| event["shortfalls"].as_array())?;
    let row = shortfalls
        .iter()
        .find(|row| row["demand"]["control"]["control"] == limit)?;
    row["support"]["absent"]["why"].as_str().map(str::to_owned)
}

/// Starts the inside half in a sandbox of its own.
fn start(field: &Field, flags: &[&str], words: &[&str]) -> Verdict<Running> {
    drop(field.ground.payload());
    let words = [&[crate::ground::PAYLOAD_INSIDE], words].concat();
    field.sandbox().flags(flags).start_open(&words)
}

fn output(field: &Field) -> Verdict {
    let bytes = 4 * MIB;
    let free = load(field, &[], &["output", &bytes.to_string()])?.expect(0)?;
    ensure_sound!(
        free.stdout_total >= bytes,
        "the control wrote {}",
        free.stdout_total
    );
    let flags = ["--output", "1M", "--prefer", "output"];
    let finished = load(field, &flags, &["output", &bytes.to_string()])?;
    ensure!(
        finished.stdout_total <= MIB && finished.code != 0,
        "{} bytes came through a limit of {MIB}, exit {}",
        finished.stdout_total,
        finished.code
    );
    ensure_sound!(
        finished.stdout_total > 0,
        "nothing was written: {}",
        finished.stderr
    );
    Ok(())
}

fn output_memory(field: &Field) -> Verdict {
    const BOUND_KIB: u64 = 64 << 10;
    let bytes = (96 * MIB).to_string();
    // The control: the same look sees a program that keeps as much.
    let mut keeper = outside(field.ground, &[], &["load", "hold", &bytes])?;
    keeper.until("the memory", |running| {
        running.complaint().contains("GOT ").then_some(())
    })?;
    let control = host::peak_memory_kib(keeper.supervisor())?;
    drop(keeper);
    ensure_sound!(control > BOUND_KIB, "the control had {control} KiB");
    let mut running = start(field, &[], &["load", "output-and-held", &bytes])?;
    running.until("the end of the flood", |running| {
        running.complaint().contains("GOT ").then_some(())
    })?;
    let kib = host::peak_memory_kib(running.supervisor())?;
    running.feed(Vec::new());
    let finished = running.wait()?.expect(0)?;
    ensure_sound!(
        finished.stdout_total >= 96 * MIB,
        "only {} bytes came out",
        finished.stdout_total
    );
    ensure!(kib < BOUND_KIB, "the supervisor grew to {kib} KiB");
    Ok(())
}

/// How often the kernel held a sandbox back, by its cgroups; nothing without one.
fn throttled(id: &str) -> u64 {
    let count = |text: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "))?;
        line.trim().parse().ok()
    };
    host::cgroups_of(&BTreeSet::from([id.to_owned()]))
        .iter()
        .filter_map(|group| std::fs::read_to_string(group.join("cpu.stat")).ok())
        .filter_map(|text| count(&text))
        .max()
        .unwrap_or(0)
}

/// The same work, with a quota and without.
fn throttled_by(field: &Field, flags: &[&str]) -> Verdict<u64> {
    let mut running = start(field, flags, &["load", "held", "burn", "120"])?;
    let id = running.until_started()?;
    running.until_output("held ")?;
    let count = throttled(&id);
    running.feed(Vec::new());
    running.wait()?.expect(0)?;
    Ok(count)
}

fn processor(field: &Field) -> Verdict {
    let control = throttled_by(field, &["--cpus", "none"])?;
    ensure_sound!(control == 0, "without a quota it was held back {control} times");
    let count = throttled_by(field, &["--cpus", "0.2", "--prefer", "cpu"])?;
    ensure!(count > 0, "it took more than the quota and was never held back");
    Ok(())
}

/// A crowd, and what was seen of it before its time was over.
fn time_is_over(field: &Field) -> Verdict {
    // A slow machine gets longer: who was not there yet shows nothing.
    for limit in ["500ms", "4s", "20s"] {
        let mut running = start(
            field,
            &["--timeout", limit, "--prefer", "wall-time"],
            &["load", "crowd", "50000"],
        )?;
        let there = running.until("the crowd", |running| {
            let said = String::from_utf8_lossy(&running.output()).into_owned();
            let all = said.matches("deaf").count() == 2 && said.contains("stopping");
            all.then(|| host::below(running.supervisor()))
        });
        let Ok(inside) = there else { continue };
        let begun = Instant::now();
        while running.is_running()? {
            if begun.elapsed() > DEADLINE {
                return fail(format!(
                    "it runs {} s after a limit of {limit}",
                    DEADLINE.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let cause = running.wait()?;
        host::until_gone(&inside, DEADLINE)?;
        ensure_sound!(
            cause.cause() == "wall-time" || cause.code == 124,
            "it ended for another reason: {}",
            cause.cause()
        );
        return deaf_outside(field);
    }
    broken("the crowd was not there before its time was over")
}

/// The control: outside, the same process does not hear what asks it to end.
fn deaf_outside(field: &Field) -> Verdict {
    let mut deaf = outside(field.ground, &[], &["load", "deaf", "50000"])?;
    deaf.until_output("deaf")?;
    deaf.signal(rustix::process::Signal::TERM)?;
    let is_deaf = deaf.is_running()?;
    deaf.signal(rustix::process::Signal::KILL)?;
    ensure_sound!(is_deaf, "the control ended when it was asked");
    Ok(())
}

fn zombies(field: &Field) -> Verdict {
    let mut control = outside(field.ground, &[], &["load", "held", "unreaped", "20"])?;
    control.until("20 ended children", |running| {
        (host::zombies_below(running.supervisor()) == 20).then_some(())
    })?;
    drop(control);
    let mut running = start(field, &[], &["load", "held", "zombies", "300"])?;
    running.until_output("held 300")?;
    let begun = Instant::now();
    loop {
        let left = host::zombies_below(running.supervisor());
        if left == 0 {
            return Ok(());
        }
        ensure!(begun.elapsed() < DEADLINE, "{left} are left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn terminals(field: &Field) -> Verdict {
    // Many, of some thousands: others open and close some of theirs meanwhile.
    const COUNT: i64 = 200;
    let words = ["load", "held", "ptys", "200"];
    let taken = |start: &dyn Fn() -> Verdict<Running>| -> Verdict<i64> {
        let before = terminals_of_host()?;
        let mut running = start()?;
        running.until_output("held ")?;
        let during = terminals_of_host()?;
        running.feed(Vec::new());
        running.wait()?;
        Ok(during - before)
    };
    let control = taken(&|| outside(field.ground, &[], &words))?;
    ensure_sound!(control > COUNT / 2, "the control took {control} of {COUNT}");
    let inside = taken(&|| start(field, &[], &words))?;
    ensure!(
        inside <= COUNT / 2,
        "terminals are taken from the number of the host, which all sandboxes share"
    );
    Ok(())
}

fn terminals_of_host() -> Verdict<i64> {
    let text = std::fs::read_to_string("/proc/sys/kernel/pty/nr")?;
    Ok(text.trim().parse()?)
}

fn core_file(field: &Field) -> Verdict {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/']) {
        return skip(
            "inconclusive: the host keeps core files elsewhere, and the control would leave one there",
        );
    }
    let words = ["RS14".to_owned()];
    let control = field.ground.outside(&[], &[], &words)?;
    if !control.text().contains("REACHED") {
        return skip("inconclusive: outside there is no core file either");
    }
    let inside = field.wall.attack(&Setting::default(), &words)?;
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    ensure_sound!(inside.text().contains("DONE"), "{}", inside.all());
    Ok(())
}
