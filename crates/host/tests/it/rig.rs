//! What most tests need: a state directory, a supervised sandbox, and pipes as its streams.

use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stockade_domain::environment::Environment;
use stockade_host::audit::AuditLog;
use stockade_host::driver::Driver;
use stockade_host::error::Result;
use stockade_host::session::Command;
use stockade_host::shim::stdio::{Input, Io, Output};
use stockade_host::shim::{Options, Outcome, RunEvent, Shim};
use stockade_host::state::{NewSandbox, StateDirs};

use crate::fake::{FakeBoundary, FakeDriver, Knobs};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Rig {
    pub place: tempfile::TempDir,
    pub dirs: Arc<StateDirs>,
    pub knobs: Arc<Knobs>,
}

/// Says that a test could not check anything here.
pub fn tell_skip(test: &str, reason: &str) {
    use std::io::Write;
    let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") else {
        return;
    };
    let mut log = File::options().append(true).create(true).open(log).unwrap();
    writeln!(log, "SKIP {test}: {reason}").unwrap();
}

/// Runs a test on one thread, as the command line does.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it hangs") })
}

pub fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

pub fn command(words: &[&str]) -> Command {
    let mut env = Environment::default();
    env.set("PATH", "/usr/bin:/bin");
    env.set("BASE", "base");
    Command {
        argv: words.iter().map(Into::into).collect(),
        env,
        cwd: "/".into(),
        tty: None,
        stdin: true,
    }
}

impl Rig {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dirs = Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
        Self {
            place,
            dirs,
            knobs: Arc::default(),
        }
    }

    /// A driver whose machine does what the knobs say.
    pub fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(FakeDriver {
            knobs: Arc::clone(&self.knobs),
        })
    }

    pub fn new_sandbox() -> NewSandbox {
        NewSandbox {
            driver: "fake".into(),
            command: vec!["test".into()],
            ..NewSandbox::default()
        }
    }

    pub async fn start(&self, options: Options) -> Shim {
        self.start_new(Self::new_sandbox(), options).await
    }

    pub async fn start_new(&self, new: NewSandbox, options: Options) -> Shim {
        let folder = self.dirs.create(new).unwrap();
        let audit = AuditLog::create(&self.dirs, folder.id()).unwrap();
        let boundary = Box::new(FakeBoundary::new(folder.id(), &self.knobs));
        Shim::start(boundary, folder, audit, options).await.unwrap()
    }

    /// Runs a script with default options and no input.
    pub async fn run(&self, script: &str) -> (Result<Outcome>, Said) {
        self.run_with(Options::default(), sh(script), None).await
    }

    pub async fn run_with(
        &self,
        options: Options,
        command: Command,
        stdin: Option<OwnedFd>,
    ) -> (Result<Outcome>, Said) {
        let shim = self.start(options).await;
        let (io, listener) = pipes(stdin);
        let outcome = shim.run_foreground(command, io, |_: RunEvent| {}).await;
        (outcome, listener.said())
    }

    /// The audit log of the only sandbox there was.
    pub fn audit(&self) -> PathBuf {
        let mut logs = std::fs::read_dir(self.dirs.path().join("audit")).unwrap();
        logs.next().unwrap().unwrap().path()
    }

    /// Names that are still in the state directory, without trash and logs.
    pub fn remains(&self) -> Vec<String> {
        let mut names = Vec::new();
        for part in ["sandboxes", "names", "changes"] {
            for entry in std::fs::read_dir(self.dirs.path().join(part)).unwrap() {
                names.push(format!("{part}/{}", entry.unwrap().file_name().to_string_lossy()));
            }
        }
        names
    }
}

/// What a command wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Said {
    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Reads two pipes to their ends.
pub struct Listener([std::thread::JoinHandle<Vec<u8>>; 2]);

impl Listener {
    pub fn said(self) -> Said {
        let [stdout, stderr] = self.0.map(|thread| thread.join().unwrap());
        Said { stdout, stderr }
    }
}

pub fn pipes(stdin: Option<OwnedFd>) -> (Io, Listener) {
    let (stdout, out) = sink();
    let (stderr, err) = sink();
    (
        Io {
            stdin: stdin.map(Input::from_fd),
            stdout,
            stderr,
        },
        Listener([out, err]),
    )
}

fn sink() -> (Output, std::thread::JoinHandle<Vec<u8>>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let thread = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(OwnedFd::from(reader)).read_to_end(&mut bytes).unwrap();
        bytes
    });
    (Output::from_fd(writer.into()), thread)
}

/// A source that holds these bytes and then its end.
pub fn source(bytes: Vec<u8>) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut writer, &bytes);
    });
    reader.into()
}
