//! What the tests share: groups that clean up after themselves, and processes put into them.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stockade_domain::target::Fact;
use stockade_linux::cgroup::{CgroupSurvey, Controller, Group, GroupLimits, JoinMethod, survey};

pub const MIB: u64 = 1 << 20;
pub const NO_LIMITS: GroupLimits = GroupLimits {
    memory_bytes: None,
    pids: None,
    cpu: None,
};
/// Takes 80 MB of memory for a moment and then says how much it held.
pub const HOG: &str = "head -c 100000000 /dev/zero | tail -c 80000000 | wc -c";
/// Starts 20 processes that stay, and says so. A shell that cannot fork stops at once.
pub const TWENTY: &str = "i=0; while [ $i -lt 20 ]; do sleep 1000 >&- & i=$((i+1)); done; echo all 20";

/// One test at a time: they look at what the others would leave.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The survey, if all of `needed` can be used; says why not otherwise.
pub fn usable(needed: &[Controller]) -> Option<CgroupSurvey> {
    let found = survey();
    for controller in needed {
        let fact = match controller {
            Controller::Memory => found.memory(),
            Controller::Pids => found.pids(),
            Controller::Cpu | Controller::Cpuacct | Controller::Freezer => found.cpu(),
        };
        if let Fact::No { why, fix } = fact {
            println!("SKIPPED: {controller} cannot be used here: {why} (fix: {fix:?})");
            return None;
        }
    }
    println!("using {}", found.mechanism());
    Some(found)
}

/// A group that is removed when the test ends, however it ends.
pub struct Made(pub Group);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.remove();
    }
}

pub fn make(survey: &CgroupSurvey, name: &str, limits: &GroupLimits) -> Made {
    Made(Group::create(survey, &id(name), limits).unwrap())
}

pub fn id(name: &str) -> String {
    format!("test-{name}-{}", std::process::id())
}

/// A shell that waits for a line before it runs the script, so that it can be moved first.
pub fn start(script: &str) -> Child {
    let wait_then_run = "read line; exec sh -c \"$0\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", wait_then_run, script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Puts a single-threaded process into the group through the descriptors that a child gets.
pub fn put(group: &Group, pid: u32) {
    let files: Vec<OwnedFd> = match group.join().unwrap() {
        JoinMethod::WriteTasks(files) => files,
        JoinMethod::CloneInto(dir) => {
            let (flags, mode) = (rustix::fs::OFlags::WRONLY, rustix::fs::Mode::empty());
            vec![rustix::fs::openat(dir, "cgroup.procs", flags, mode).unwrap()]
        }
    };
    assert!(!files.is_empty());
    for file in files {
        rustix::io::write(file.as_fd(), pid.to_string().as_bytes()).unwrap();
    }
}

/// Starts a script inside the group.
pub fn start_in(group: &Group, script: &str) -> Child {
    let mut child = start(script);
    put(group, child.id());
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child
}

/// Runs a script inside the group to its end and returns what it printed.
pub fn run_in(group: &Group, script: &str) -> String {
    let mut child = start_in(group, script);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text.trim().to_owned()
}

pub fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// Reads a file of the group from whichever of its directories has it.
pub fn read(group: &Group, file: &str) -> String {
    group
        .paths()
        .iter()
        .find_map(|path| std::fs::read_to_string(path.join(file)).ok())
        .unwrap()
}

pub fn throttled(group: &Group) -> u64 {
    let text = read(group, "cpu.stat");
    text.lines()
        .find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok())
        .unwrap()
}

/// Waits for something that will be so; a minute is given to a machine that is very busy.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed().as_secs() < 60,
            "this did not come true within a minute"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn reap(mut child: Child) {
    child.wait().unwrap();
}

/// Byte by byte: the pipe stays open.
pub fn read_line(child: &mut Child) {
    let output = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        output.read_exact(&mut byte).unwrap();
    }
}
