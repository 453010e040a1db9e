//! Takes all of something. Every load stops by itself at a bound that harms no host, and
//! prints what it got: `GOT n` of what was asked.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::out::{argument, number};
use super::sys::{self, Arg, call};

/// `load KIND BOUND`
pub fn run(arguments: &[String]) -> ExitCode {
    let bound = u64::try_from(number(arguments, 1)).unwrap_or(0);
    let got = match argument(arguments, 0) {
        "fork" => forks(bound),
        "threads" => threads(bound),
        "memory" => memory(bound),
        "hold" => hold(bound),
        "tmpfs" => file_memory(bound, "/tmp/filler"),
        "shm" => file_memory(bound, "/dev/shm/filler"),
        "memfd" => memfds(bound),
        "disk" => file_memory(bound, "filler"),
        "inodes" => inodes(bound),
        "output" => output(bound),
        "fds" => descriptors(bound),
        "spin" => spin(bound),
        "zombies" => zombies(bound),
        "deaf" => deaf(bound),
        "stopped" => stopped(),
        "background" => background(bound),
        other => {
            eprintln!("attack load: what is {other}?");
            return ExitCode::from(99);
        }
    };
    eprintln!("GOT {got} of {bound}");
    ExitCode::SUCCESS
}

fn pause() {
    std::thread::sleep(Duration::from_secs(3600));
}

/// Children that stay, and have children of their own while they can.
fn forks(bound: u64) -> u64 {
    let mut children = Vec::new();
    while (children.len() as u64) < bound {
        match sys::fork(pause) {
            Ok(child) => children.push(child),
            Err(_) => break,
        }
    }
    let got = children.len() as u64;
    for child in children {
        let _ = call(
            libc::SYS_kill,
            &mut [Arg::Int(i64::from(child)), Arg::Int(i64::from(libc::SIGKILL))],
        );
        let _ = sys::wait(child);
    }
    got
}

fn threads(bound: u64) -> u64 {
    let mut got = 0;
    while got < bound {
        if std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(pause)
            .is_err()
        {
            break;
        }
        got += 1;
    }
    got
}

const PIECE: usize = 4 << 20;

fn memory(bound: u64) -> u64 {
    (take(bound).len() * PIECE) as u64
}

/// Takes memory, says so, and keeps it.
fn hold(bound: u64) -> u64 {
    let pieces = take(bound);
    eprintln!("GOT {} of {bound}", pieces.len() * PIECE);
    pause();
    (std::hint::black_box(pieces).len() * PIECE) as u64
}

fn take(bound: u64) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while (pieces.len() * PIECE) as u64 <= bound {
        let mut piece = vec![0_u8; PIECE];
        piece.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        pieces.push(std::hint::black_box(piece));
    }
    pieces
}

fn fill(file: &mut File, bound: u64) -> u64 {
    let piece = vec![7_u8; 1 << 20];
    let mut got = 0;
    while got < bound && file.write_all(&piece).is_ok() {
        got += piece.len() as u64;
    }
    got
}

fn file_memory(bound: u64, path: &str) -> u64 {
    File::create(path).map_or(0, |mut file| fill(&mut file, bound))
}

fn memfds(bound: u64) -> u64 {
    let (mut files, mut got) = (Vec::new(), 0);
    while got < bound {
        let made = call(libc::SYS_memfd_create, &mut [Arg::Text("filler"), Arg::Int(0)]);
        let Some(owned) = made.ok().and_then(sys::own) else {
            break;
        };
        let mut file = File::from(owned);
        let more = fill(&mut file, 8 << 20);
        files.push(file);
        if more == 0 {
            break;
        }
        got += more;
    }
    got
}

fn inodes(bound: u64) -> u64 {
    let mut got = 0;
    while got < bound {
        if got % 1000 == 0 && fs::create_dir(format!("many-{}", got / 1000)).is_err() {
            break;
        }
        if File::create(format!("many-{}/{got}", got / 1000)).is_err() {
            break;
        }
        got += 1;
    }
    got
}

fn output(bound: u64) -> u64 {
    let piece = vec![b'x'; 64 << 10];
    let mut out = std::io::stdout().lock();
    let mut got = 0;
    while got < bound && out.write_all(&piece).is_ok() {
        got += piece.len() as u64;
    }
    got
}

fn descriptors(bound: u64) -> u64 {
    let mut open = Vec::new();
    while (open.len() as u64) < bound {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(_) => break,
        }
    }
    open.iter().map(|file| u64::from(file.as_raw_fd() >= 0)).sum()
}

fn spin(milliseconds: u64) -> u64 {
    let begun = Instant::now();
    let mut turns = 0_u64;
    while begun.elapsed() < Duration::from_millis(milliseconds) {
        turns = std::hint::black_box(turns) + 1;
    }
    turns
}

/// Children of children that end at once: PID 1 has to take them.
fn zombies(bound: u64) -> u64 {
    let mut got = 0;
    while got < bound {
        let orphan = || drop(sys::fork(|| {}));
        match sys::fork(orphan) {
            Ok(child) => {
                let _ = sys::wait(child);
                got += 1;
            }
            Err(_) => break,
        }
    }
    got
}

/// Does not hear what asks it to end.
fn deaf(milliseconds: u64) -> u64 {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        sys::ignore(signal);
    }
    println!("deaf");
    std::thread::sleep(Duration::from_millis(milliseconds));
    0
}

/// Stops itself.
fn stopped() -> u64 {
    println!("stopping");
    let own = i64::from(std::process::id());
    let _ = call(
        libc::SYS_kill,
        &mut [Arg::Int(own), Arg::Int(i64::from(libc::SIGSTOP))],
    );
    0
}

/// Leaves a process in a session of its own that holds no stream, and ends.
fn background(milliseconds: u64) -> u64 {
    let daemon = move || {
        let _ = call(libc::SYS_setsid, &mut []);
        let again = move || {
            for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
                sys::ignore(signal);
            }
            for descriptor in 0..3 {
                drop(sys::own(descriptor));
            }
            std::thread::sleep(Duration::from_millis(milliseconds));
        };
        drop(sys::fork(again));
    };
    sys::fork(daemon).and_then(sys::wait).map_or(0, |_| 1)
}
