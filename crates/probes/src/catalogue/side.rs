//! What a launcher and its terminal have to do with what runs inside.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use stockade_domain::ControlKind;

use crate::canary::{Canary, FileCanary, LauncherSecret, Seen, token};
use crate::denial::{Denial, arguments, held};
use crate::ground::PAYLOAD_INSIDE;
use crate::terminal::on_terminal;
use crate::tree::Tree;
use crate::{Field, Probe, Project, Setting, Severity, Verdict, broken, ensure, ensure_sound, host, skip};

use super::paths::jailed;

pub const ALL: &[Probe] = &[
    Probe::question(
        "SD03",
        Severity::Critical,
        "typing into the user's terminal",
        push_input,
    )
    .needs(&[ControlKind::TerminalPrivate])
    .small(),
    Probe::question(
        "SD04",
        Severity::High,
        "output that a terminal obeys: clipboard, title, links, answers",
        obeyed_output,
    )
    .needs(&[ControlKind::TerminalPrivate])
    .small(),
    Probe::denial(
        "SD06",
        Severity::High,
        "variables that make programs load others",
        Denial::new("SD05", LauncherSecret::loaders),
    )
    .needs(&[ControlKind::CleanEnvironment]),
    Probe::denial(
        "SD06-left",
        Severity::High,
        "start-up files left in the home directory",
        Denial::new("SD06", Home::plant),
    )
    .needs(&[ControlKind::HomeHidden]),
    Probe::question(
        "SD07",
        Severity::Medium,
        "mask, signals, limits, priority and personality of the launcher",
        inherited,
    ),
    Probe::question(
        "SD08",
        Severity::Critical,
        "a working directory that lies outside, from wherever it is started",
        directory,
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "SD09",
        Severity::Medium,
        "job control signals to whoever shares the terminal",
        stop_signals,
    )
    .needs(&[ControlKind::TerminalPrivate])
    .small(),
    Probe::denial(
        "SD10",
        Severity::High,
        "open namespaces, processes, groups and memory files of the launcher",
        Denial::new("SD01", LauncherSecret::special_descriptors),
    )
    .needs(&[ControlKind::DescriptorsClosed]),
    Probe::question(
        "SD11",
        Severity::High,
        "outliving Stockade, or ending with a thread of whoever started it",
        owner,
    )
    .needs(&[ControlKind::DiesWithSupervisor])
    .small(),
    Probe::question(
        "SD12",
        Severity::Low,
        "names of the host and its user: variables, program, login",
        identity,
    )
    .needs(&[ControlKind::HostnamePrivate, ControlKind::CleanEnvironment]),
];

/// What waits in the terminal afterwards is what a shell would run.
const THEN_READ: &str = "stty -icanon -echo min 0 time 5; echo \"[input:$(cat)]\"";

fn program(field: &Field) -> String {
    field.wall.program().display().to_string()
}

/// The inside half by a path from the workspace, there and outside.
fn payload(field: &Field) -> &'static str {
    drop(field.ground.payload());
    PAYLOAD_INSIDE
}

fn push_input(field: &Field) -> Verdict {
    let (payload, program, token) = (payload(field), program(field), token()?);
    let pushed = |shown: &str| {
        shown
            .rsplit_once("[input:")
            .is_some_and(|(_, input)| input.contains(&token))
    };
    let control = on_terminal(
        field,
        &format!(r#""$0" SD03 "$1"; {THEN_READ}"#),
        &[payload, &token],
    )?;
    let reachable = pushed(&control);
    for flag in ["-t", "-T", "-iT"] {
        let script = format!(r#""$2" run -q $RUN_FLAGS {flag} -- "$0" SD03 "$1"; {THEN_READ}"#);
        let shown = on_terminal(field, &script, &[payload, &token, &program])?;
        ensure_sound!(
            shown.contains("DONE") && shown.contains("[input:"),
            "{flag}: it did not run: {shown}"
        );
        ensure!(!pushed(&shown), "{flag}: {shown}");
    }
    if reachable {
        return Ok(());
    }
    skip(format!(
        "inconclusive: outside it is refused, too (it needs root, or an old kernel): {control}"
    ))
}

/// Sequences that reach beyond the screen, as the inside half writes them, each with its meaning.
const OBEYED: [(&str, &str); 7] = [
    ("\x1b]52;", "puts text on the clipboard"),
    ("\x1b]2;", "sets the title"),
    ("\x1b]8;", "makes a link"),
    ("\x1b]1337;", "writes a file"),
    ("\x1b]777;", "notifies"),
    ("\x1bP$q", "asks for an answer"),
    ("\x05", "asks who it is"),
];

fn obeyed_output(field: &Field) -> Verdict {
    let (payload, program, token) = (payload(field), program(field), token()?);
    let obeyed = |shown: &str| -> Vec<&str> {
        let there = OBEYED.iter().filter(|(bytes, _)| shown.contains(bytes));
        there.map(|(_, meaning)| *meaning).collect()
    };
    let control = on_terminal(field, r#""$0" SD04 "$1""#, &[payload, &token])?;
    ensure_sound!(
        obeyed(&control).len() == OBEYED.len(),
        "outside the terminal got only {:?}",
        obeyed(&control)
    );
    for flag in ["-t", "-T"] {
        let script = format!(r#""$2" run -q $RUN_FLAGS {flag} -- "$0" SD04 "$1""#);
        let shown = on_terminal(field, &script, &[payload, &token, &program])?;
        ensure_sound!(
            shown.contains("DONE") && shown.contains(&format!("plain {token}")),
            "{flag}: it did not run: {shown:?}"
        );
        ensure!(
            obeyed(&shown).is_empty(),
            "{flag}: the terminal got what {:?}",
            obeyed(&shown)
        );
    }
    Ok(())
}

fn stop_signals(field: &Field) -> Verdict {
    let (payload, program) = (payload(field), program(field));
    let script = |start: &str| {
        format!(
            r#"trap 'echo HIT' TERM WINCH USR1; {start} "$0" SD09; {start} "$0" SD09; echo "end of shell""#
        )
    };
    let control = on_terminal(field, &script(""), &[payload])?;
    ensure_sound!(
        control.contains("HIT"),
        "outside the shell gets no signal either: {control}"
    );
    for flag in ["-t", "-T"] {
        let start = format!(r#""$1" run -q $RUN_FLAGS {flag} --"#);
        let shown = on_terminal(field, &script(&start), &[payload, &program])?;
        ensure_sound!(
            shown.matches("DONE").count() == 2 && shown.contains("end of shell"),
            "{flag}: {shown}"
        );
        ensure!(
            !shown.contains("HIT"),
            "{flag}: the shell outside got a signal: {shown}"
        );
    }
    Ok(())
}

/// The home directory of whoever starts the sandbox, in which nothing must change.
struct Home {
    tree: Tree,
    path: std::path::PathBuf,
}

impl Home {
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let path = field.ground.path("home");
        Ok(Box::new(Self {
            tree: Tree::of(&path),
            path,
        }))
    }
}

impl Canary for Home {
    fn outside(&self) -> Vec<String> {
        Vec::new()
    }

    fn reached(&mut self, _: &Seen) -> Option<String> {
        let now = Tree::of(&self.path);
        (now != self.tree).then(|| format!("it changed:{}", self.tree.differences(&now)))
    }
}

/// What a careless launcher leaves behind. Of the limits, open files (7) are more than programs get;
/// core files (4) can be as many where the host's own maximum allows it.
#[rustfmt::skip]
const CARELESS: [&str; 24] = [
    "launch", "--umask", "0", "--block", "10", "--block", "15",
    "--ignore", "13", "--ignore", "17", "--ignore", "2",
    "--limit", "7", "5000", "--limit", "4", "1234567",
    "--nice", "5", "--personality", "262144", "--",
];

fn inherited(field: &Field) -> Verdict {
    let helper = field.ground.helper().display().to_string();
    let launcher: Vec<String> = std::iter::once(helper)
        .chain(CARELESS.map(str::to_owned))
        .collect();
    let words: Vec<&str> = launcher.iter().map(String::as_str).collect();
    let fields = |text: &str| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let expected = [
        ("Umask", "0022"),
        ("Blocked", "0"),
        ("Ignored", "0"),
        ("Personality", "0"),
        ("Open files", "1024"),
    ];
    let differs = |found: &BTreeMap<String, String>| -> Vec<String> {
        let wrong = expected
            .iter()
            .filter(|(name, value)| found.get(*name).map(String::as_str) != Some(value));
        wrong
            .map(|(name, _)| format!("{name}: {:?}", found.get(*name)))
            .collect()
    };
    let control = fields(&field.ground.outside(&words, &[], &["SD07".into()])?.text());
    ensure_sound!(
        differs(&control).len() == expected.len(),
        "the control inherits too little: {control:?}"
    );
    let setting = Setting {
        launcher,
        ..Setting::default()
    };
    let inside = fields(&field.wall.attack(&setting, &["SD07".into()])?.expect(0)?.text());
    ensure!(differs(&inside).is_empty(), "{:?}", differs(&inside));
    ensure!(
        inside.get("Core").is_some_and(|value| value != "1234567"),
        "core files: {:?}",
        inside.get("Core")
    );
    Ok(())
}

/// Started from outside of its workspace, and from a directory that is gone.
fn directory(field: &Field) -> Verdict {
    let mut canary = FileCanary::at(field, &format!("outside/here-{}", field.ground.number()))?;
    let words = arguments("SD08", canary.outside());
    let control = jailed(field, &field.ground.path("outside"), &words)?;
    if canary
        .reached(&Seen {
            output: control.text(),
        })
        .is_none()
    {
        return skip(format!(
            "inconclusive: ordinary users cannot make namespaces here: {}",
            control.all().trim()
        ));
    }
    let project = Project::new(field)?;
    let gone = field
        .ground
        .path(&format!("outside/gone-{}", field.ground.number()));
    for place in [
        field.ground.path("outside"),
        field.ground.path("home"),
        gone.clone(),
    ] {
        let payload = field.ground.helper();
        let mut command = project.run(&[]);
        command
            .arg("--ro")
            .arg(payload)
            .arg("--")
            .arg(payload)
            .args(&words);
        command.current_dir(&place);
        if place == gone {
            std::fs::create_dir(&gone)?;
        }
        let finished = crate::finished::finish(command, Vec::new(), None)?;
        held("SD08", &finished, &mut canary)?;
        ensure!(
            !finished.text().contains("REACHED"),
            "{}: {}",
            place.display(),
            finished.all()
        );
    }
    Ok(())
}

/// A process that sends every line back.
struct Echo {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Echo {
    /// Starts it and hears of it; nothing if it ends first.
    fn start(mut command: Command) -> Verdict<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let Some(stdout) = child.stdout.take() else {
            return broken("a process without output");
        };
        let mut this = Self {
            child,
            answers: BufReader::new(stdout),
        };
        match this.answers() {
            true => Ok(this),
            false => broken("it did not start"),
        }
    }

    /// Starts it from a thread that ends when it runs.
    fn start_from_a_thread(command: Command) -> Verdict<Self> {
        match std::thread::spawn(move || Self::start(command)).join() {
            Ok(started) => started,
            Err(_) => broken("the thread panicked"),
        }
    }

    fn answers(&mut self) -> bool {
        let asked = self.child.stdin.as_mut().map(|stdin| stdin.write_all(b"here\n"));
        let mut line = String::new();
        matches!(asked, Some(Ok(()))) && self.answers.read_line(&mut line).is_ok() && line == "here\n"
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        host::kill_tree(self.child.id());
        let _ = self.child.wait();
    }
}

/// How long what must end may take; what must not end is looked at at once.
const ENDING: Duration = Duration::from_secs(20);

fn owner(field: &Field) -> Verdict {
    let helper = field.ground.helper();
    let project = Project::new(field)?;
    // The control: who asks for it ends with the thread that started him.
    let mut bound = project.command(helper);
    bound.args(["launch", "--parent-death", "9", "--"]);
    bound.arg(helper).args(["do", "echo"]);
    let mut bound = Echo::start_from_a_thread(bound)?;
    let status = crate::finished::wait(&mut bound.child, std::time::Instant::now() + ENDING)?;
    ensure_sound!(
        std::os::unix::process::ExitStatusExt::signal(&status) == Some(9),
        "the control ended with {status}"
    );
    let mut run = project.run(&["-i"]);
    run.arg("--ro")
        .arg(helper)
        .arg("--")
        .arg(helper)
        .args(["do", "echo"]);
    let mut sandbox = Echo::start_from_a_thread(run)?;
    ensure!(sandbox.answers(), "it ended with the thread that started it");
    let inside = host::below(sandbox.child.id());
    ensure_sound!(
        !inside.is_empty(),
        "this driver's processes are not below the supervisor"
    );
    sandbox.child.kill()?;
    sandbox.child.wait()?;
    host::until_gone(&inside, ENDING)?;
    // The control: what an ordinary program starts outlives it.
    outlives(project.command(Path::new("sh")))
}

fn outlives(mut shell: Command) -> Verdict {
    shell.args(["-c", "sleep 60 & wait"]).stdin(Stdio::null());
    let mut shell = shell.spawn()?;
    let deadline = std::time::Instant::now() + ENDING;
    let mut below = host::below(shell.id());
    while below.iter().all(|process| process.name != "sleep") && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        below = host::below(shell.id());
    }
    shell.kill()?;
    shell.wait()?;
    let alive = below.iter().filter(|process| host::is_alive(process)).count();
    for process in &below {
        let _ = host::signal(process.pid, rustix::process::Signal::KILL);
    }
    ensure_sound!(alive == 1, "{alive} processes outlive an ordinary program");
    Ok(())
}

/// The host's name, and what a launcher's variables say of its user.
fn identity(field: &Field) -> Verdict {
    let user = token()?;
    let variables: Vec<(String, String)> = ["USER", "LOGNAME", "HOSTNAME", "SUDO_USER", "MAIL", "OLDPWD"]
        .map(|name| (name.to_owned(), user.clone()))
        .to_vec();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let tells = |text: &str| -> Vec<&'static str> {
        let mut found = Vec::new();
        if text.contains(&user) {
            found.push("the user's name");
        }
        if text.lines().any(|told| told == format!("node {name}")) {
            found.push("the host's name");
        }
        found
    };
    let words = ["SD12".to_owned()];
    let control = field.ground.outside(&[], &variables, &words)?.text();
    ensure_sound!(
        tells(&control).len() == 2,
        "outside only {:?} is told: {control}",
        tells(&control)
    );
    let setting = Setting {
        variables,
        ..Setting::default()
    };
    let inside = field.wall.attack(&setting, &words)?.expect(0)?.text();
    ensure!(tells(&inside).is_empty(), "{:?}: {inside}", tells(&inside));
    Ok(())
}
