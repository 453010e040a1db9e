//! Starting this program again for one task behind walls.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use stockade_linux::{caps, landlock, seccomp};

use crate::{caps as caps_tests, landlock as landlock_tests, posture, seccomp as seccomp_tests};

const TASK: &str = "STOCKADE_TEST_TASK";
const WALLS: &str = "STOCKADE_TEST_WALLS";
const ARGUMENTS: &str = "STOCKADE_TEST_ARGUMENTS";
const SEPARATOR: &str = "\u{1f}";

/// Walls that a task stands behind, in the order in which they go up.
#[derive(Clone, Debug)]
pub enum Wall {
    NoNewPrivs,
    Seccomp,
    SeccompNesting,
    Landlock { read: PathBuf, write: PathBuf },
    Nested,
    NestedWithoutScope,
    DropCapabilities,
    Undumpable,
}

/// A command that runs `task` behind `walls`. It writes what it saw to its standard error.
pub fn command(task: &str, walls: &[Wall], arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    prepare(&mut command, task, walls, arguments);
    command
}

/// A copy of this binary that every user may run, and the directory that it lies in.
pub fn public_copy() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("helper");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [place.path(), &program] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    (place, program)
}

/// Makes `command`, which starts this binary, run a task behind walls.
pub fn prepare(command: &mut Command, task: &str, walls: &[Wall], arguments: &[&str]) {
    let walls: Vec<String> = walls.iter().map(Wall::encode).collect();
    command
        .args([
            "--exact",
            "helper::enter",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
            "-q",
        ])
        .env(TASK, task)
        .env(WALLS, walls.join(SEPARATOR))
        .env(ARGUMENTS, arguments.join(SEPARATOR));
}

/// This program, started for nothing but what its arguments say.
pub fn without_task(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove(TASK);
    command
}

/// A copy of this program that was just written may still be open for writing in a child
/// that another test forked a moment ago and that has not executed anything yet.
fn output_of(command: &mut Command) -> Output {
    loop {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            other => return other.unwrap(),
        }
    }
}

/// Runs it; lines of `name value` from its standard error, and all of its output.
pub fn run(mut command: Command) -> (Vec<(String, String)>, Output) {
    let output = output_of(&mut command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    (
        lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        output,
    )
}

/// Runs it and expects success.
pub fn run_ok(command: Command) -> Vec<(String, String)> {
    let (lines, output) = run(command);
    assert!(output.status.success(), "{}: {output:?}", output.status);
    lines
}

/// What a task says of one thing.
pub fn value<'a>(lines: &'a [(String, String)], name: &str) -> &'a str {
    let found = lines.iter().find(|(other, _)| other == name);
    found.map_or_else(
        || panic!("{name} is not in {lines:?}"),
        |(_, value)| value.as_str(),
    )
}

/// Tells the result of a call to the test that waits for it.
pub fn tell<T>(name: &str, result: impl Into<Result<T, i32>>) {
    match result.into() {
        Ok(_) => eprintln!("{name} ok"),
        Err(errno) => eprintln!("{name} {errno}"),
    }
}

/// Runs the task that this process was started for, if it was started for one, and ends it.
pub fn enter_if_asked() {
    let Ok(task) = std::env::var(TASK) else { return };
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let arguments: Vec<&str> = arguments
        .split(SEPARATOR)
        .filter(|argument| !argument.is_empty())
        .collect();
    let walls = std::env::var(WALLS).unwrap();
    let walls = || {
        walls
            .split(SEPARATOR)
            .filter(|wall| !wall.is_empty())
            .map(Wall::decode)
    };
    match task.as_str() {
        "self-tests" => landlock_tests::self_tests(walls()),
        "drop" | "drop-none" => caps_tests::drop_task(walls()),
        task => {
            walls().for_each(|wall| wall.raise());
            match task {
                "exec" => {
                    let error = Command::new(arguments[0]).args(&arguments[1..]).exec();
                    panic!("exec {arguments:?}: {error}");
                }
                "fresh-start" => caps_tests::fresh_start(),
                "attacks" => seccomp_tests::attacks(),
                #[cfg(target_arch = "x86_64")]
                "int80" => crate::foreign::int80(),
                #[cfg(target_arch = "x86_64")]
                "x32" => crate::foreign::x32(),
                "reach-files" => landlock_tests::reach_files(&arguments),
                "reach-parent" => landlock_tests::reach_parent(),
                "spawn" => landlock_tests::spawn_reaching(&arguments),
                "threads" => posture::threads_task(),
                "wait" => posture::wait_task(),
                "read-child" => posture::read_child_task(&arguments),
                other => panic!("no task {other}"),
            }
        }
    }
    std::process::exit(0);
}

impl Wall {
    pub fn raise(&self) {
        match self {
            Self::NoNewPrivs => caps::no_new_privs().unwrap(),
            Self::Seccomp => seccomp::install(&seccomp::Profile {
                nested_namespaces: false,
                tell_starts: false,
                substitutes: seccomp::Substitutes::default(),
            })
            .unwrap(),
            Self::SeccompNesting => seccomp::install(&seccomp::Profile {
                nested_namespaces: true,
                tell_starts: false,
                substitutes: seccomp::Substitutes::default(),
            })
            .unwrap(),
            Self::Landlock { read, write } => {
                let rules = landlock::Rules {
                    read: vec![read.clone()],
                    write: vec![write.clone()],
                    ..Default::default()
                };
                landlock::enter(&rules).unwrap();
            }
            Self::NestedWithoutScope => landlock::enter_nested_with(false).unwrap(),
            Self::Nested => landlock::enter_nested().unwrap(),
            Self::DropCapabilities => caps::drop_all().unwrap(),
            Self::Undumpable => caps::set_dumpable(false).unwrap(),
        }
    }

    fn encode(&self) -> String {
        match self {
            Self::Landlock { read, write } => format!("landlock|{}|{}", read.display(), write.display()),
            other => format!("{other:?}"),
        }
    }

    fn decode(text: &str) -> Self {
        match text {
            "NoNewPrivs" => Self::NoNewPrivs,
            "Seccomp" => Self::Seccomp,
            "SeccompNesting" => Self::SeccompNesting,
            "Nested" => Self::Nested,
            "NestedWithoutScope" => Self::NestedWithoutScope,
            "DropCapabilities" => Self::DropCapabilities,
            "Undumpable" => Self::Undumpable,
            other => {
                let mut parts = other.split('|').skip(1).map(PathBuf::from);
                Self::Landlock {
                    read: parts.next().unwrap(),
                    write: parts.next().unwrap(),
                }
            }
        }
    }
}
