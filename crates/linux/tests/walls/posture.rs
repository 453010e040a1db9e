//! What the host reads of a process: compared with processes whose posture is known.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use stockade_linux::posture::{self, Environment, Namespace, Process};

use crate::helper::{Wall, command, prepare, public_copy, run_ok, value};

crate::tests![
    everything_of_a_known_process,
    separate_namespaces,
    every_thread_is_read,
    gone_processes_cannot_be_read,
    ordinary_user_reads_its_undumpable_guest,
];

/// A child that is ended with its test.
struct Running(Child);

impl Running {
    /// Starts it and waits until it has said that it is ready.
    fn until_ready(mut command: Command) -> Self {
        let mut child = Self(
            command
                .stderr(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let said: Vec<String> = lines
            .map(Result::unwrap)
            .take_while(|line| line != "ready")
            .collect();
        assert_eq!(child.0.try_wait().unwrap(), None, "it ended: {said:?}");
        // A shell that said so executes another program now; in between, a process has
        // neither arguments nor environment.
        let words = format!("/proc/{}/cmdline", child.0.id());
        loop {
            let now = String::from_utf8_lossy(&std::fs::read(&words).unwrap()).into_owned();
            if !now.is_empty() && !now.contains("echo ready") {
                break;
            }
            std::thread::yield_now();
        }
        child
    }

    fn number(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn sleeping() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo ready >&2; exec sleep 1000"]);
    command
}

/// Each piece is what the process was started with.
fn everything_of_a_known_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = sleeping();
    command
        .env_clear()
        .env("A", "1")
        .env("PATH", std::env::var_os("PATH").unwrap());
    command.current_dir(directory.path()).stdin(Stdio::null());
    let child = Running::until_ready(command);
    let posture = posture::read(child.number()).unwrap();

    let [thread] = posture.threads.as_slice() else {
        panic!("{:?}", posture.threads)
    };
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(thread.number, child.number());
    assert!(thread.user.all_are(user) && thread.group.all_are(rustix::process::getegid().as_raw()));
    assert_eq!((thread.no_new_privs, thread.seccomp.mode), (Some(false), Some(0)));
    let Environment::Known(variables) = &posture.environment else {
        panic!("{:?}", posture.environment)
    };
    assert!(
        variables.iter().any(|variable| variable == "A=1"),
        "{variables:?}"
    );
    let metadata = directory.path().metadata().unwrap();
    assert_eq!(
        (posture.cwd.device, posture.cwd.inode),
        (metadata.dev(), metadata.ino())
    );
    assert_eq!(posture.cwd.path, directory.path().canonicalize().unwrap());
    assert_eq!(posture.root.path.to_str(), Some("/"));
    let null = posture
        .descriptors
        .iter()
        .find(|descriptor| descriptor.number == 0)
        .unwrap();
    assert_eq!(null.target, "/dev/null");
    assert!(
        posture
            .mounts
            .iter()
            .any(|mount| mount.point.to_str() == Some("/"))
    );
    assert!(!posture.cgroups.is_empty());
    let mine = Process::open(i32::try_from(std::process::id()).unwrap())
        .unwrap()
        .namespaces()
        .unwrap();
    assert_eq!(mine.not_separate_from(&posture.namespaces), Namespace::ALL);
}

/// Separate namespaces are seen as such, and no others.
fn separate_namespaces() {
    let flags = ["--user", "--map-root-user", "--net", "--uts", "--"];
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .args(["sh", "-c", "echo ready >&2; exec sleep 1000"]);
    let child = Running::until_ready(command);
    let theirs = Process::open(child.number()).unwrap().namespaces().unwrap();
    let mine = Process::open(i32::try_from(std::process::id()).unwrap())
        .unwrap()
        .namespaces()
        .unwrap();
    let shared = mine.not_separate_from(&theirs);
    for kind in Namespace::ALL {
        let separate = [Namespace::Net, Namespace::User, Namespace::Uts].contains(&kind);
        assert_eq!(!shared.contains(&kind), separate, "{}", kind.name());
    }
}

/// Runs in a process of its own: three threads more, one of them behind another wall.
pub fn threads_task() {
    let (started, all_started) = std::sync::mpsc::channel();
    for behind_wall in [false, true, false] {
        let started = started.clone();
        std::thread::spawn(move || {
            if behind_wall {
                Wall::NoNewPrivs.raise();
                Wall::Seccomp.raise();
            }
            started.send(()).unwrap();
            std::thread::park();
        });
    }
    (0..3).for_each(|_| all_started.recv().unwrap());
    wait_task();
}

/// Runs in a process of its own.
pub fn wait_task() {
    eprintln!("ready");
    loop {
        std::thread::park();
    }
}

/// Walls of one thread are not taken for walls of all.
fn every_thread_is_read() {
    let child = Running::until_ready(command("threads", &[], &[]));
    let threads = Process::open(child.number()).unwrap().threads().unwrap();
    assert_eq!(threads.len(), 4);
    assert_eq!(threads[0].number, child.number());
    let behind: Vec<_> = threads
        .iter()
        .filter(|thread| thread.no_new_privs == Some(true))
        .collect();
    assert_eq!(behind.len(), 1);
    assert_eq!(
        (behind[0].seccomp.mode, behind[0].seccomp.filters),
        (Some(2), Some(1))
    );
}

/// Once a process is gone, nothing is read of whoever comes after it.
fn gone_processes_cannot_be_read() {
    let child = Running::until_ready(sleeping());
    let process = Process::open(child.number()).unwrap();
    assert!(
        !process.ended() && process.threads().is_ok() && process.mounts().is_ok(),
        "control"
    );
    let number = child.number();
    drop(child);
    assert!(process.ended());
    assert!(process.threads().is_err() && process.namespaces().is_err() && process.mounts().is_err());
    assert!(process.descriptors().is_err() && process.environment().is_err() && process.root().is_err());
    assert!(posture::read(number).is_err());
}

/// Runs in a process of its own as an ordinary user: starts a child that is not dumpable, in a
/// user namespace, and reads it.
pub fn read_child_task(arguments: &[&str]) {
    if rustix::process::geteuid().is_root() {
        let (group, user) = (Gid::from_raw(65_534), Uid::from_raw(65_534));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--"]).arg(arguments[0]);
    prepare(&mut unshare, "wait", &[Wall::Undumpable], &[]);
    let child = Running::until_ready(unshare);
    let process = Process::open(child.number()).unwrap();
    eprintln!(
        "listed {}",
        std::fs::read_dir(format!("/proc/{}/fd", child.number())).is_ok()
    );
    eprintln!("threads {:?}", process.threads().map(|threads| threads.len()));
    eprintln!("namespaces {}", process.namespaces().is_ok());
    eprintln!("mounts {}", process.mounts().is_ok());
    eprintln!("places {}", process.root().is_ok() && process.cwd().is_ok());
    let descriptors = process
        .descriptors()
        .map(|all| all.into_iter().map(|one| one.number).collect::<Vec<_>>());
    eprintln!("descriptors {descriptors:?}");
    match process.environment() {
        Ok(Environment::Size { bytes }) => eprintln!("environment {}", bytes > 100),
        other => eprintln!("environment {other:?}"),
    }
}

/// The rootless supervisor can read a guest that nobody else may: all but the names in its
/// environment.
fn ordinary_user_reads_its_undumpable_guest() {
    let (_place, program) = public_copy();
    let mut command = Command::new(&program);
    prepare(&mut command, "read-child", &[], &[program.to_str().unwrap()]);
    command.current_dir("/");
    let seen = run_ok(command);
    assert_eq!(
        value(&seen, "listed"),
        "false",
        "control: the directory of descriptors is closed to it"
    );
    assert_eq!(value(&seen, "threads"), "Ok(1)");
    for name in ["namespaces", "mounts", "places", "environment"] {
        assert_eq!(value(&seen, name), "true", "{name}: {seen:?}");
    }
    assert!(value(&seen, "descriptors").starts_with("Ok([0, 1, 2"), "{seen:?}");
}
