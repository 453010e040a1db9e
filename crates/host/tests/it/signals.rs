//! A supervisor as a process of its own, which gets signals and is killed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stockade_host::audit::AuditLog;
use stockade_host::driver::Driver;
use stockade_host::gc::{self, Report};
use stockade_host::shim::{Io, Options, Shim};
use stockade_host::state::{NewSandbox, StateDirs};

use crate::fake::{FakeBoundary, FakeDriver, Knobs};
use crate::rig::{Rig, block_on, sh};

crate::tests![
    sigterm_ends_it_in_order,
    sigint_goes_to_the_command_first,
    a_second_sigint_ends_it,
    an_ignored_signal_stays_ignored,
    of_a_killed_supervisor_nothing_keeps_running,
    whenever_a_supervisor_is_killed_all_is_cleaned_up,
];

/// Argument that makes this program a supervisor: state directory, script.
pub const SHIM: &str = "act-as-shim";

/// Supervises a script with this process's own streams, and tells how it ended by JSON.
pub fn be_shim() -> ! {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let (place, script) = (Path::new(&arguments[0]), arguments[1].as_str());
    let outcome = block_on(async {
        let dirs = Arc::new(StateDirs::open(place).unwrap());
        let new = NewSandbox {
            driver: "fake".into(),
            name: Some("shim".into()),
            ..NewSandbox::default()
        };
        let folder = dirs.create(new).unwrap();
        let audit = AuditLog::create(&dirs, folder.id()).unwrap();
        let knobs = Arc::<Knobs>::default();
        let boundary = Box::new(FakeBoundary::new(folder.id(), &knobs));
        let shim = Shim::start(boundary, folder, audit, Options::default())
            .await
            .unwrap();
        let mut command = sh(script);
        command.stdin = false;
        shim.run_foreground(command, Io::standard(false, None), |_| {})
            .await
            .unwrap()
    });
    println!("{}", serde_json::to_string(&outcome.exit).unwrap());
    std::process::exit(0)
}

struct Supervisor {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Supervisor {
    /// Starts one and waits until its command says `up`.
    fn start(rig: &Rig, before: &str, script: &str) -> Self {
        let script = format!("{script}\necho up; while :; do sleep 0.05; done");
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("{before} exec \"$@\""), "sh"])
            .arg(std::env::current_exe().unwrap())
            .arg(SHIM)
            .arg(rig.dirs.path())
            .arg(script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self { child, output }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it said until its end.
    fn end(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        text
    }
}

fn sigterm_ends_it_in_order() {
    let rig = Rig::new();
    let supervisor = Supervisor::start(&rig, "", "trap 'echo bye; exit 0' TERM");
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.end(), "bye\n{\"cause\":\"killed\"}\n");
    assert!(rig.remains().is_empty());
}

fn sigint_goes_to_the_command_first() {
    let rig = Rig::new();
    let supervisor = Supervisor::start(&rig, "", "trap 'exit 5' INT");
    supervisor.signal(Signal::INT);
    assert_eq!(supervisor.end(), "{\"cause\":\"code\",\"value\":5}\n");
}

fn a_second_sigint_ends_it() {
    let rig = Rig::new();
    let mut supervisor = Supervisor::start(&rig, "", "trap 'echo no' INT; trap '' TERM");
    supervisor.signal(Signal::INT);
    let mut line = String::new();
    supervisor.output.read_line(&mut line).unwrap();
    assert_eq!(line, "no\n");
    supervisor.signal(Signal::INT);
    assert!(supervisor.end().ends_with("{\"cause\":\"killed\"}\n"));
}

fn an_ignored_signal_stays_ignored() {
    let rig = Rig::new();
    let supervisor = Supervisor::start(&rig, "trap '' HUP;", "trap 'exit 6' INT");
    supervisor.signal(Signal::HUP);
    supervisor.signal(Signal::INT);
    assert_eq!(supervisor.end(), "{\"cause\":\"code\",\"value\":6}\n");
}

fn of_a_killed_supervisor_nothing_keeps_running() {
    let rig = Rig::new();
    let mark = rig.place.path().join("mark");
    let script = format!(
        "(trap '' TERM; while :; do echo x >> {}; sleep 0.02; done) &",
        mark.display()
    );
    let supervisor = Supervisor::start(&rig, "", &script);
    assert!(rig.dirs.find("shim").unwrap().live);
    supervisor.signal(Signal::KILL);
    supervisor.end();
    assert!(!rig.dirs.find("shim").unwrap().live);
    let size = || std::fs::metadata(&mark).map_or(0, |metadata| metadata.len());
    // Waits as long as it takes to stand still; the time-out of the test run is the judge.
    loop {
        let before = size();
        std::thread::sleep(Duration::from_millis(300));
        if size() == before {
            break;
        }
    }
    assert_eq!(collect(&rig).dead.len(), 1);
    assert!(rig.remains().is_empty());
}

fn collect(rig: &Rig) -> Report {
    let driver = FakeDriver {
        knobs: Arc::default(),
    };
    let drivers: Vec<Arc<dyn Driver>> = vec![Arc::new(driver)];
    block_on(gc::collect(&rig.dirs, &drivers, gc::Options::default())).unwrap()
}

/// The moments are spread over a whole life; the last ones come after its end.
fn whenever_a_supervisor_is_killed_all_is_cleaned_up() {
    let rig = Rig::new();
    for moment in 0..24 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SHIM)
            .arg(rig.dirs.path())
            .arg("sleep 0.02")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(moment * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        if moment % 3 == 0 {
            clean_up(&rig);
        }
    }
    clean_up(&rig);
    // What was killed while it wrote has its line cut off at worst, and nothing before it.
    for log in std::fs::read_dir(rig.dirs.path().join("audit")).unwrap() {
        stockade_host::audit::verify(&log.unwrap().path()).unwrap();
    }
}

/// A process that was just being started holds its supervisor's lock until it has become
/// its program, or has noticed that nobody waits for it: then it is looked at again.
fn clean_up(rig: &Rig) {
    loop {
        let report = collect(rig);
        assert!(report.problems.is_empty() && !report.unfinished, "{report:?}");
        if rig.remains().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
