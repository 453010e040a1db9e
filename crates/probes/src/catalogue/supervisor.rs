//! What Stockade itself does on the host: refusals, records, clocks, and the same walls for everything
//! that is inside, and for each sandbox its own.

use std::collections::BTreeMap;
use std::path::Path;

use stockade_domain::ControlKind;

use super::leftovers::supervisor;
use super::running::{beside, stockade};
use crate::canary::{Proof, everybody_elsewhere, token};
use crate::denial::Denial;
use crate::finished::finish;
use crate::ground::PAYLOAD_INSIDE;
use crate::run::{Running, outside};
use crate::{Field, Probe, Setting, Severity, Verdict, broken, ensure, ensure_sound, host};

const ROOT: &str = "it needs root";

pub const ALL: &[Probe] = &[
    Probe::question(
        "SV04",
        Severity::High,
        "records that are edited, removed or moved",
        records,
    )
    .small(),
    Probe::question(
        "SV05",
        Severity::Medium,
        "a start of a program that nobody records",
        starts,
    )
    .needs(&[ControlKind::ProcessStarts])
    .small(),
    Probe::question(
        "SV06",
        Severity::Critical,
        "a command that runs without a wall that is required",
        refusal,
    )
    .small(),
    Probe::question(
        "SV07",
        Severity::High,
        "a command that runs below a policy that cannot be read",
        policies,
    )
    .small(),
    Probe::question(
        "SV08",
        Severity::High,
        "a thread inside that has more than is planned",
        threads,
    )
    .needs(&[ControlKind::Privileges])
    .small(),
    Probe::question(
        "SV09",
        Severity::High,
        "a further command with more than the first",
        further,
    )
    .small(),
    Probe::question(
        "SV10",
        Severity::Critical,
        "signals to a process of another sandbox",
        signals,
    )
    .small(),
    Probe::question(
        "SV10-seen",
        Severity::High,
        "command lines of another sandbox",
        command_lines,
    )
    .needs(&[ControlKind::ProcessesHidden])
    .small(),
    Probe::question(
        "SV10-files",
        Severity::High,
        "private files of another sandbox",
        private_files,
    )
    .needs(&[ControlKind::HomeHidden, ControlKind::FilesUnreadable])
    .small(),
    Probe::question(
        "TM03",
        Severity::Medium,
        "a lifetime by a clock that can be set",
        clocks,
    )
    .small(),
    Probe::denial(
        "TM04",
        Severity::Critical,
        "what stops the whole machine, to ask or to open",
        Denial::new("TM04", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::Privileges, ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "TM05",
        Severity::Low,
        "timers that wake the machine, and bounds raised again",
        Denial::new("TM05", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::Privileges]),
];

/// The lines of a sandbox in a state directory of their own, checked.
fn verified(field: &Field, lines: &[String]) -> Verdict<(i32, String)> {
    let state = field
        .ground
        .path(&format!("outside/audit-{}", field.ground.number()));
    let folder = state.join("stockade/audit");
    std::fs::create_dir_all(&folder)?;
    for private in [&state, &state.join("stockade"), &folder] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o700))?;
    }
    std::fs::write(folder.join("2026-01.0001.jsonl"), lines.join("\n") + "\n")?;
    let mut command = field.ground.command(field.wall.program());
    command.args(["audit", "verify"]).env("XDG_STATE_HOME", &state);
    let finished = finish(command, Vec::new(), None)?;
    Ok((finished.code, finished.all()))
}

fn records(field: &Field) -> Verdict {
    let mut running = start(field, &[], &["load", "held", "fds", "1"])?;
    let id = running.until_started()?;
    running.feed(Vec::new());
    running.wait()?.expect(0)?;
    let told = stockade(field, &["audit", "show", &id, "--json"])?.expect(0)?;
    let lines: Vec<String> = told.text().lines().map(str::to_owned).collect();
    ensure_sound!(lines.len() >= 4, "only {} records: {lines:?}", lines.len());
    let (code, said) = verified(field, &lines)?;
    ensure_sound!(code == 0, "the control is refused as it is: {said}");
    let mut edited = lines.clone();
    edited[1] = edited[1].replacen("\"at_ms\":1", "\"at_ms\":2", 1);
    let mut removed = lines.clone();
    removed.remove(2);
    let mut moved = lines.clone();
    moved.swap(1, 2);
    for (what, changed) in [("edited", edited), ("removed", removed), ("moved", moved)] {
        ensure_sound!(changed != lines, "nothing was {what}");
        let (code, said) = verified(field, &changed)?;
        ensure!(code != 0, "a record was {what}, and nobody noticed: {said}");
        ensure!(
            said.contains(&id),
            "a record was {what}, and its sandbox is not named: {said}"
        );
    }
    Ok(())
}

/// Starts the inside half in a sandbox of its own.
fn start(field: &Field, flags: &[&str], words: &[&str]) -> Verdict<Running> {
    drop(field.ground.payload());
    let words = [&[PAYLOAD_INSIDE], words].concat();
    field.sandbox().flags(flags).start_open(&words)
}

/// How many starts of a program with a word are recorded of a run that starts it ten times.
fn recorded(field: &Field, flags: &[&str]) -> Verdict<usize> {
    drop(field.ground.payload());
    let token = token()?;
    let script =
        format!("for i in 0 1 2 3 4 5 6 7 8 9; do {PAYLOAD_INSIDE} do exit 0 {token}-$i; done; read line");
    let mut running = field.sandbox().flags(flags).start_open(&["sh", "-c", &script])?;
    let id = running.until_started()?;
    running.feed(b"\n".to_vec());
    running.wait()?.expect(0)?;
    let words = ["audit", "show", &id, "--json", "--kind", "process-started"];
    let told = stockade(field, &words)?.text();
    let is_told = |number: &u32| {
        let wanted = format!("\"{token}-{number}\"");
        told.lines().any(|line| line.contains(&wanted))
    };
    Ok((0..10).filter(is_told).count())
}

fn starts(field: &Field) -> Verdict {
    let without = recorded(field, &["--no-audit-processes"])?;
    ensure_sound!(
        without == 0,
        "without being asked for, {without} starts are recorded"
    );
    let flags = ["--audit-processes", "--prefer", "process-starts"];
    let count = recorded(field, &flags)?;
    ensure!(count == 10, "of 10 starts {count} are recorded");
    Ok(())
}

/// Whether a command ran: what it was given came back.
fn ran(field: &Field, flags: &[&str]) -> Verdict<(bool, String)> {
    let token = token()?;
    let words = ["do".to_owned(), "echo".to_owned()];
    let finished = field
        .sandbox()
        .flags(flags)
        .stdin(token.as_str())
        .attack(&words)?;
    Ok((finished.text().contains(&token), finished.all()))
}

fn refusal(field: &Field) -> Verdict {
    let (control, said) = ran(field, &[])?;
    ensure_sound!(control, "the control did not run: {said}");
    // No driver has both: a kernel of its own here, and another's machine.
    let flags = ["--require", "own-kernel", "--require", "own-machine"];
    let (did_run, said) = ran(field, &flags)?;
    ensure!(!did_run, "required and not there, and the command ran: {said}");
    ensure!(
        said.contains("own-machine") || said.contains("own-kernel"),
        "not told: {said}"
    );
    Ok(())
}

fn policies(field: &Field) -> Verdict {
    let long = format!("name = \"{}\"\n", "x".repeat(2 << 20));
    let deep = format!("deep = {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let bad = [
        ("an unknown key", "[limits]\nmemroy = \"64M\"\n"),
        ("a key twice", "[limits]\npids = 64\npids = 65\n"),
        ("a value of another type", "[limits]\npids = [\"64\"]\n"),
        ("no TOML", "[limits\n"),
        ("a section that is none", "network = \"host\"\n"),
        ("two megabytes", long.as_str()),
        ("brackets in brackets", deep.as_str()),
    ];
    let run = |text: &str| -> Verdict<(bool, String)> {
        let token = token()?;
        let sandbox = field.sandbox().policy(text)?.stdin(token.as_str());
        let finished = sandbox.attack(&["do".to_owned(), "echo".to_owned()])?;
        Ok((finished.text().contains(&token), finished.stderr))
    };
    let (control, said) = run("[limits]\noutput = \"1G\"\n")?;
    ensure_sound!(control, "the control did not run: {said}");
    for (what, text) in bad {
        let (did_run, said) = run(text)?;
        ensure!(!did_run, "{what} in the policy, and the command ran");
        ensure!(said.contains("error"), "{what}: not told: {said}");
    }
    Ok(())
}

/// What the kernel tells of a thread: who it is and what it may.
type Posture = BTreeMap<String, String>;

const TOLD: [&str; 11] = [
    "Uid",
    "Gid",
    "Groups",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
];

fn posture(status: &Path) -> Verdict<Posture> {
    let text = std::fs::read_to_string(status)?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let kept = pairs.filter(|(name, _)| TOLD.contains(name));
    Ok(kept
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect())
}

/// What a thread has that none inside should have.
fn too_much(found: &Posture) -> Vec<String> {
    let is_wrong = |name: &str| {
        let value = found.get(name).map_or("", String::as_str);
        match name {
            "NoNewPrivs" => value != "1",
            "Seccomp" => value != "2",
            "Uid" | "Gid" => value.is_empty() || value.split_whitespace().any(|id| id == "0"),
            "CapInh" | "CapPrm" | "CapEff" | "CapAmb" => {
                value.is_empty() || value.chars().any(|digit| digit != '0')
            }
            _ => false,
        }
    };
    let wrong = TOLD.into_iter().filter(|name| is_wrong(name));
    wrong
        .map(|name| format!("{name} {:?}", found.get(name)))
        .collect()
}

/// The processes of two commands of a sandbox, by a word of their command lines.
fn with_two_commands(field: &Field, look: impl Fn(u32, u32) -> Verdict) -> Verdict {
    let (first, second) = (token()?, token()?);
    drop(field.ground.payload());
    let words = [PAYLOAD_INSIDE, "load", "deaf", "50000", &first];
    beside(field, "two", &[], &words, |sandbox| {
        let again = format!("{PAYLOAD_INSIDE} load background 50000 {second}");
        sandbox.exec(&["sh", "-c", &again])?.expect(0)?;
        let inside = |token: &str| {
            let found = host::mentioning(token);
            // Whoever supervises was given the same words.
            let named = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found
                .into_iter()
                .map(|process| process.pid)
                .find(|pid| named(*pid).trim() == "attack")
        };
        match (inside(&first), inside(&second)) {
            (Some(first), Some(second)) => look(first, second),
            other => broken(format!("the commands are not seen on the host: {other:?}")),
        }
    })
}

fn threads(field: &Field) -> Verdict {
    let own = too_much(&posture(Path::new("/proc/self/status"))?);
    ensure_sound!(!own.is_empty(), "the control, this process, is confined already");
    with_two_commands(field, |first, second| {
        for pid in [first, second] {
            for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let wrong = too_much(&posture(&thread?.path().join("status"))?);
                ensure!(wrong.is_empty(), "a thread of {pid}: {wrong:?}");
            }
        }
        Ok(())
    })
}

fn further(field: &Field) -> Verdict {
    let all = |pid: u32| -> Verdict<Posture> {
        let mut all = posture(Path::new(&format!("/proc/{pid}/status")))?;
        for entry in std::fs::read_dir(format!("/proc/{pid}/ns"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Ok(link) = entry.path().read_link() {
                all.insert(
                    entry.file_name().to_string_lossy().into_owned(),
                    link.display().to_string(),
                );
            }
        }
        for file in ["cgroup", "limits"] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            all.insert(file.to_owned(), text);
        }
        Ok(all)
    };
    let own = all(std::process::id())?;
    with_two_commands(field, |first, second| {
        let (first, second) = (all(first)?, all(second)?);
        ensure_sound!(first != own, "the control, this process, has the same");
        let different: Vec<_> = first
            .iter()
            .filter(|(name, value)| second.get(*name) != Some(*value))
            .map(|(name, value)| (name, value, second.get(name)))
            .collect();
        ensure!(different.is_empty(), "{different:?}");
        Ok(())
    })
}

/// The words of a payload that signals a process, and within a sandbox all others.
fn signalling(pid: u32, to_all: bool) -> Vec<String> {
    let rest = if to_all {
        everybody_elsewhere()
    } else {
        String::new()
    };
    ["PR03", &pid.to_string(), "0", "0", "0", &rest]
        .map(str::to_owned)
        .to_vec()
}

fn signals(field: &Field) -> Verdict {
    let mut control = outside(field.ground, &[], &["load", "deaf", "50000"])?;
    control.until_output("deaf")?;
    field
        .ground
        .outside(&[], &[], &signalling(control.supervisor(), false))?;
    let ended = control.wait()?;
    ensure_sound!(
        ended.code > 128,
        "the control's process was not ended: {}",
        ended.code
    );
    let token = token()?;
    let mut other = start(field, &[], &["load", "held", "fds", "1", &token])?;
    other.until_output("held ")?;
    let inside = host::below(other.supervisor());
    let Some(victim) = inside.iter().find(|process| process.name == "attack") else {
        return broken(format!("the other sandbox's process is not seen: {inside:?}"));
    };
    let said = field
        .wall
        .attack(&Setting::default(), &signalling(victim.pid, true))?;
    ensure_sound!(
        said.text().contains("DONE"),
        "it did not run to its end: {}",
        said.all()
    );
    ensure!(
        host::is_alive(victim) && other.is_running()?,
        "a process of another sandbox was ended: {}",
        said.all()
    );
    Ok(())
}

fn command_lines(field: &Field) -> Verdict {
    let token = token()?;
    let mut other = start(field, &[], &["load", "held", "fds", "1", &token])?;
    other.until_output("held ")?;
    let words = ["PR01".to_owned()];
    let control = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(control.text().contains(&token), "the control does not see it");
    let said = field.wall.attack(&Setting::default(), &words)?;
    ensure_sound!(
        said.text().contains("DONE"),
        "it did not run to its end: {}",
        said.all()
    );
    ensure!(
        !said.text().contains(&token),
        "another sandbox's command line was read"
    );
    Ok(())
}

fn private_files(field: &Field) -> Verdict {
    let words = |what: &str, name: &str, content: &str| ["SV10", what, name, content].map(str::to_owned);
    let (name, secret) = (token()?, token()?);
    field.ground.outside(&[], &[], &words("write", &name, &secret))?;
    let control = field.ground.outside(&[], &[], &words("read", &name, ""))?;
    field.ground.outside(&[], &[], &words("remove", &name, ""))?;
    ensure_sound!(control.text().contains(&secret), "the control: {}", control.all());
    let (name, secret) = (token()?, token()?);
    drop(field.ground.payload());
    let script =
        format!("{PAYLOAD_INSIDE} SV10 write {name} {secret}; {PAYLOAD_INSIDE} SV10 read {name}; read line");
    let mut other = field.sandbox().start_open(&["sh", "-c", &script])?;
    // What it wrote it can read itself.
    other.until_output(&secret)?;
    let said = field
        .wall
        .attack(&Setting::default(), &words("read", &name, ""))?;
    ensure_sound!(
        said.text().contains("DONE"),
        "it did not run to its end: {}",
        said.all()
    );
    ensure!(
        !said.text().contains(&secret),
        "read from another sandbox: {}",
        said.all()
    );
    Ok(())
}

/// The clocks of a process's timers.
fn timers(pid: u32) -> Verdict<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // One may be closed between the listing and the look.
        let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let clock = text.lines().find_map(|line| line.strip_prefix("clockid:"));
        found.extend(clock.map(|clock| clock.trim().to_owned()));
    }
    Ok(found)
}

fn clocks(field: &Field) -> Verdict {
    const CAN_BE_SET: [&str; 2] = ["0", "8"];
    let can_be_set = |all: &[String]| all.iter().any(|clock| CAN_BE_SET.contains(&clock.as_str()));
    let mut control = outside(field.ground, &[], &["TM03"])?;
    control.until_output("held ")?;
    let seen = timers(control.supervisor())?;
    drop(control);
    ensure_sound!(can_be_set(&seen), "the control's timer is not seen: {seen:?}");
    beside(field, "clock", &["--ttl", "1h"], &["sleep", "50"], |sandbox| {
        let seen = timers(supervisor(sandbox)?)?;
        ensure!(!can_be_set(&seen), "timers of the clocks {seen:?}");
        ensure_sound!(!seen.is_empty(), "the supervisor has no timer");
        Ok(())
    })
}
