//! Takes all of something. Every load stops by itself at a bound that harms no host, and
//! prints what it got: `GOT n` of what was asked.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::out::{argument, number};
use super::sys::{self, Arg, call};

/// `load [held] KIND BOUND`. With `held` it keeps what it got until its input ends, and says so before.
pub fn run(arguments: &[String]) -> ExitCode {
    let is_held = argument(arguments, 0) == "held";
    let arguments = &arguments[usize::from(is_held)..];
    let bound = u64::try_from(number(arguments, 1)).unwrap_or(0);
    let mut keeper = Keeper { is_held };
    let Some(got) = take_all(argument(arguments, 0), bound, &mut keeper) else {
        eprintln!("attack load: what is {}?", argument(arguments, 0));
        return ExitCode::from(99);
    };
    keeper.keep(got);
    eprintln!("GOT {got} of {bound}");
    ExitCode::SUCCESS
}

/// Holds once what a load has.
struct Keeper {
    is_held: bool,
}

impl Keeper {
    /// Says what there is, and returns when the input ends.
    fn keep(&mut self, got: u64) {
        if std::mem::take(&mut self.is_held) {
            println!("held {got}");
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        }
    }
}

fn take_all(kind: &str, bound: u64, keeper: &mut Keeper) -> Option<u64> {
    let got = match kind {
        "fork" => forks(bound),
        "threads" => threads(bound),
        "memory" => memory(bound),
        "hold" => hold(bound),
        "tmpfs" => memory_file(bound, "/tmp"),
        "shm" => memory_file(bound, "/dev/shm"),
        "pipes" => pipes(bound),
        "sockets" => sockets(bound),
        "memfd" => memfds(bound),
        "disk" => file(bound, "filler"),
        "sparse" => sparse(bound),
        "deep" => deep(bound),
        "inodes" => inodes(bound),
        "output" => output(bound),
        "output-and-held" => {
            let got = output(bound);
            eprintln!("GOT {got} of {bound}");
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            got
        }
        "fds" => descriptors(bound),
        "ptys" => terminals(bound, keeper),
        "spin" => spin(bound),
        "burn" => burn(bound),
        "zombies" => zombies(bound),
        "unreaped" => unreaped(bound),
        "crowd" => crowd(bound),
        "deaf" => deaf(bound),
        "stopped" => stopped(),
        "background" => background(bound),
        _ => return None,
    };
    Some(got)
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

fn file(bound: u64, path: &str) -> u64 {
    File::create(path).map_or(0, |mut file| fill(&mut file, bound))
}

/// A file in a directory that is kept in memory; nothing where it is not.
fn memory_file(bound: u64, directory: &str) -> u64 {
    const TMPFS: i64 = 0x0102_1994;
    match rustix::fs::statfs(directory) {
        Ok(found) if found.f_type == TMPFS => file(bound, &format!("{directory}/filler")),
        _ => 0,
    }
}

/// As much as the pipes take that can be had.
fn pipes(bound: u64) -> u64 {
    let (mut kept, mut got) = (Vec::new(), 0);
    while got < bound {
        let Ok((reader, writer)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK) else {
            break;
        };
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, 1 << 20);
        let more = pour(&mut File::from(writer.try_clone().unwrap_or(writer)));
        kept.push(reader);
        if more == 0 {
            break;
        }
        got += more;
    }
    got
}

/// As much as the buffers of unix sockets take.
fn sockets(bound: u64) -> u64 {
    let (mut kept, mut got) = (Vec::new(), 0);
    while got < bound {
        let Ok((from, to)) = std::os::unix::net::UnixStream::pair() else {
            break;
        };
        let _ = from.set_nonblocking(true);
        let more = pour(&mut &from);
        kept.push((from, to));
        if more == 0 {
            break;
        }
        got += more;
    }
    got
}

/// Writes until no more is taken.
fn pour(into: &mut impl Write) -> u64 {
    let piece = vec![7_u8; 64 << 10];
    let mut got = 0;
    while let Ok(count @ 1..) = into.write(&piece) {
        got += count as u64;
    }
    got
}

/// A file that is long and empty.
fn sparse(bound: u64) -> u64 {
    let made = File::create("filler").and_then(|file| file.set_len(bound));
    if made.is_ok() { bound } else { 0 }
}

/// Directories in directories with long names, and one that nobody may open.
fn deep(bound: u64) -> u64 {
    let name = "d".repeat(200);
    let mut got = 0;
    while got < bound && fs::create_dir(&name).is_ok() {
        let _ = fs::write("file", "x");
        got += 1;
        if std::env::set_current_dir(&name).is_err() {
            break;
        }
    }
    let closed = fs::create_dir("closed").and_then(|()| fs::write("closed/file", "x"));
    let _ = closed.and_then(|()| fs::set_permissions("closed", fs::Permissions::from_mode(0o000)));
    got
}

/// Terminals.
fn terminals(bound: u64, keeper: &mut Keeper) -> u64 {
    let mut open = Vec::new();
    while (open.len() as u64) < bound {
        match File::open("/dev/ptmx") {
            Ok(file) => open.push(file),
            Err(_) => break,
        }
    }
    keeper.keep(open.len() as u64);
    open.len() as u64
}

/// Milliseconds of processor time, however long they take.
fn burn(milliseconds: u64) -> u64 {
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let spent = || {
        let used = used();
        u64::try_from(used.tv_sec * 1000 + used.tv_nsec / 1_000_000).unwrap_or(0)
    };
    let begun = spent();
    while spent() - begun < milliseconds {
        std::hint::spin_loop();
    }
    spent() - begun
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

/// Children that have ended and that nobody waits for.
fn unreaped(bound: u64) -> u64 {
    (0..bound).map_while(|_| sys::fork(|| {}).ok()).count() as u64
}

/// Everything that does not like to end: deaf, stopped, in a session of its own, and deaf itself.
fn crowd(milliseconds: u64) -> u64 {
    let _ = sys::fork(move || _ = deaf(milliseconds));
    let _ = sys::fork(|| _ = stopped());
    let _ = background(milliseconds);
    println!("crowd");
    deaf(milliseconds)
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
