//! What tells about the host, and what an ended sandbox left.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use rustix::fs::{FlockOperation, flock};
use stockade_domain::ControlKind;

use crate::canary::{Canary, Proof, Seen, token};
use crate::denial::Denial;
use crate::finished::finish;
use crate::{Field, Probe, Project, Setting, Severity, Verdict, ensure, ensure_sound, fail, host, skip};

pub const ALL: &[Probe] = &[
    Probe::denial(
        "IL01",
        Severity::Medium,
        "addresses, messages and modules of the kernel",
        Denial::new("IL01", Proof::plant).control_if("the host's own settings refuse it"),
    )
    .needs(&[ControlKind::KernelKnobsProtected, ControlKind::SyscallFilter]),
    Probe::question("IL02", Severity::Low, "memory and start of the host", load)
        .needs(&[ControlKind::OwnKernel]),
    Probe::question(
        "IL03",
        Severity::Low,
        "numbers of the machine and its boot, by which it is known again",
        |field| identities(field, &["kernel", "machine"]),
    )
    .needs(&[ControlKind::OwnKernel]),
    Probe::question("IL03-name", Severity::Low, "the host's name", |field| {
        identities(field, &["name"])
    })
    .needs(&[ControlKind::HostnamePrivate]),
    Probe::question(
        "IL03-network",
        Severity::Low,
        "hardware addresses of the host's network",
        |field| identities(field, &["address"]),
    )
    .needs(&[ControlKind::NetworkNone]),
    Probe::denial(
        "IL04",
        Severity::Low,
        "the state directory, in the tables of mounts",
        Denial::new("IL04", StateDirectory::plant)
            .wrapped(STATE_MOUNTED)
            .control_if("ordinary users cannot make namespaces here"),
    ),
    Probe::denial(
        "IL05",
        Severity::Medium,
        "locks, sockets and other tables of the whole host",
        Denial::new("IL05", HostTables::plant).control_if("there is no procfs"),
    )
    .needs(&[ControlKind::LocalSocketsHidden, ControlKind::KernelKnobsProtected]),
    Probe::question(
        "IL06",
        Severity::Low,
        "names of the host's control groups",
        groups,
    )
    .small(),
    Probe::question(
        "IL07",
        Severity::Medium,
        "side channels: faults of the processor that are not mitigated, shared memory pages",
        side_channels,
    )
    .needs(&[ControlKind::OwnMachine]),
    Probe::question(
        "IL08",
        Severity::High,
        "what an ended sandbox left, and space that it used",
        residue,
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "IL10",
        Severity::Medium,
        "values of variables in what is said of errors, kept and shown",
        told_of_errors,
    ),
];

/// A mount that names the state directory, in a namespace of its own.
const STATE_MOUNTED: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "for last; do :; done; mount --bind \"$last\" \"$last\" && exec \"$0\" \"$@\"",
];

struct StateDirectory(String);

impl StateDirectory {
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let path = field.ground.state().join("stockade");
        fs::create_dir_all(&path)?;
        Ok(Box::new(Self(path.display().to_string())))
    }
}

impl Canary for StateDirectory {
    fn outside(&self) -> Vec<String> {
        vec![self.0.clone()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let line = seen.output.lines().find(|line| line.contains(&self.0));
        line.map(|line| format!("the table says {line}"))
    }
}

/// A lock on a file, and an abstract socket.
struct HostTables {
    token: String,
    inode: u64,
    _lock: fs::File,
    _socket: UnixListener,
}

impl HostTables {
    fn plant(field: &Field) -> Verdict<Box<dyn Canary>> {
        let token = token()?;
        let path = field.ground.file(&format!("outside/lock-{token}"), "")?;
        let lock = fs::File::open(path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Box::new(Self {
            inode: lock.metadata()?.ino(),
            _lock: lock,
            _socket: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&token)?)?,
            token,
        }))
    }
}

impl Canary for HostTables {
    fn outside(&self) -> Vec<String> {
        vec![self.inode.to_string()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        if seen.output.contains(&self.token) {
            return Some("a socket's name was read".to_owned());
        }
        let told = seen.output.lines().find(|line| line.starts_with("REACHED"));
        told.map(str::to_owned)
    }
}

/// What an attack tells in lines that begin with one of some words.
fn told(text: &str, words: &[&str]) -> BTreeSet<String> {
    let begins = |line: &&str| words.iter().any(|word| line.starts_with(&format!("{word} ")));
    text.lines().filter(begins).map(str::to_owned).collect()
}

/// What is told inside as well as outside, by its places and not by its values: reports are passed on. It
/// must be something that tells hosts apart.
fn both(field: &Field, attack: &str, words: &[&str]) -> Verdict<BTreeSet<String>> {
    const SAME_EVERYWHERE: [&str; 3] = [" 00:00:00:00:00:00", " localhost", " (none)"];
    let arguments = [attack.to_owned()];
    let outside = told(
        &field.ground.outside(&[], &[], &arguments)?.expect(0)?.text(),
        words,
    );
    let outside: BTreeSet<String> = outside
        .into_iter()
        .filter(|line| !SAME_EVERYWHERE.iter().any(|value| line.ends_with(value)))
        .collect();
    if outside.is_empty() {
        return skip(format!("inconclusive: the host tells no {}", words.join(" or ")));
    }
    let inside = field.wall.attack(&Setting::default(), &arguments)?;
    ensure_sound!(
        inside.text().contains("DONE"),
        "it did not run to its end: {}",
        inside.all()
    );
    let inside = told(&inside.text(), words);
    let place = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(outside.intersection(&inside).map(place).collect())
}

fn load(field: &Field) -> Verdict {
    let same = both(field, "IL02", &["load"])?;
    ensure!(same.is_empty(), "the host's own: {same:?}");
    Ok(())
}

fn identities(field: &Field, classes: &[&str]) -> Verdict {
    let same = both(field, "IL03", classes)?;
    ensure!(same.is_empty(), "the host's own: {same:?}");
    Ok(())
}

/// Of a sandbox's process as the host sees it, and as it sees itself.
fn groups(field: &Field) -> Verdict {
    let project = Project::new(field)?;
    let name = token()?;
    let mut start = project.command(field.wall.program());
    start.args(["run", "-q", "-d", "--name", "grouped", "--workspace"]);
    start.arg(project.path("")).args(field.wall.flags());
    start.arg("--ro").arg(field.ground.helper()).arg("--");
    start.arg(field.ground.helper()).args(["do", "wait", &name]);
    finish(start, Vec::new(), None)?.expect(0)?;
    let seen = groups_of(field, &project, &name);
    let removed = project.stockade(&["rm", "--force", "grouped"])?.expect(0);
    let (outside, inside) = seen?;
    removed?;
    let named = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .filter(|line| line.contains("stockade"))
            .cloned()
            .collect()
    };
    if named(&outside).is_empty() {
        return skip("inconclusive: the sandbox has no control group of its own here");
    }
    ensure!(
        named(&inside).is_empty(),
        "inside its group is known: {:?}",
        named(&inside)
    );
    Ok(())
}

type Lines = Vec<String>;

fn groups_of(field: &Field, project: &Project, name: &str) -> Verdict<(Lines, Lines)> {
    let mut outside = Vec::new();
    for process in host::mentioning(name) {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        outside.extend(text.lines().map(str::to_owned));
    }
    let payload = field.ground.helper().display().to_string();
    let inside = project.stockade(&["exec", "grouped", "--", &payload, "IL06"])?;
    ensure_sound!(
        inside.text().contains("DONE"),
        "it did not run to its end: {}",
        inside.all()
    );
    Ok((outside, told(&inside.text(), &["group"]).into_iter().collect()))
}

/// Of the host alone: only another machine keeps them away for certain.
fn side_channels(_: &Field) -> Verdict {
    let mut open = Vec::new();
    let faults = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let Ok(faults) = faults else {
        return skip("inconclusive: the kernel does not tell of the processor's faults");
    };
    for entry in faults.flatten() {
        let state = fs::read_to_string(entry.path()).unwrap_or_else(|error| error.to_string());
        if !state.starts_with("Not affected") && !state.starts_with("Mitigation") {
            open.push(format!(
                "{}: {}",
                entry.file_name().to_string_lossy(),
                state.trim()
            ));
        }
    }
    for (path, what) in [
        ("/sys/kernel/mm/ksm/run", "equal pages of memory are shared"),
        ("/sys/devices/system/cpu/smt/active", "processors share a core"),
    ] {
        if fs::read_to_string(path).is_ok_and(|state| state.trim() == "1") {
            open.push(what.to_owned());
        }
    }
    open.sort();
    if open.is_empty() {
        return Ok(());
    }
    fail(open.join("; "))
}

/// Places that are looked at inside, beside home and workspace.
const SHARED: [&str; 4] = ["/tmp", "/dev/shm", "/var/tmp", "/run"];
/// Space that is asked for in each.
const MEBIBYTES: &str = "4";

fn residue(field: &Field) -> Verdict {
    let token = token()?;
    // The control: without sandboxes, the second finds what the first left, in the same directories.
    let control = Project::new(field)?;
    let place = control.path("shared");
    fs::create_dir(&place)?;
    let place = place.display().to_string();
    let outside = |words: &[&str]| {
        let mut command = control.command(field.ground.helper());
        command.args(words).env("TMPDIR", &place);
        finish(command, Vec::new(), None)
    };
    outside(&["IL08-leave", &token, &place])?.expect(0)?;
    let found = outside(&["IL08-look", MEBIBYTES, &place])?;
    ensure_sound!(
        found.text().contains(&token),
        "the control finds nothing: {}",
        found.all()
    );
    let _ = fs::remove_dir_all(field.ground.path("home/.left"));
    let project = Project::new(field)?;
    for _ in 0..2 {
        let words = [&["IL08-leave", token.as_str()], &SHARED[..]].concat();
        let left = project.inside(&["--rm"], &words)?;
        ensure_sound!(
            left.text().contains(": done"),
            "it could leave nothing: {}",
            left.all()
        );
        let words = [&["IL08-look", MEBIBYTES], &SHARED[..]].concat();
        let found = project.inside(&["--rm"], &words)?;
        ensure!(
            !found.text().contains(&token) && !found.text().contains("REACHED"),
            "the next sandbox found {}",
            found.all()
        );
    }
    Ok(())
}

/// A value that passes must be in no message and no record, however the run goes.
fn told_of_errors(field: &Field) -> Verdict {
    let value = token()?;
    let project = Project::new(field)?;
    let variable = format!("PASSED={value}");
    let flags = ["-e", variable.as_str()];
    let control = project.inside(&flags, &["SD05"])?;
    ensure_sound!(
        control.text().contains(&value),
        "inside it is not seen: {}",
        control.all()
    );
    let payload = field.ground.helper().display().to_string();
    let failing: [&[&str]; 4] = [
        &["--", "/none/such/program"],
        &["--", "/dev/null"],
        &["--ro", "/none/such/path", "--", "true"],
        &["--workspace-mode", "none", "--cpus", "0", "--", &payload],
    ];
    for words in failing {
        let mut run = project.run(&flags);
        run.args(words);
        let said = finish(run, Vec::new(), None)?;
        ensure_sound!(
            said.code != 0 && !said.stderr.is_empty(),
            "{words:?} did not fail: {}",
            said.all()
        );
        ensure!(
            !said.all().contains(&value),
            "{words:?}: the message holds it: {}",
            said.all()
        );
    }
    for words in [
        &["audit"][..],
        &["audit", "--json"],
        &["ls", "--json"],
        &["changes", "--json"],
    ] {
        let said = project.stockade(words)?;
        ensure!(!said.all().contains(&value), "{words:?} tells it");
    }
    for kept in ["audit", "sandboxes", "changes"] {
        let file = holding(&field.ground.path("state/stockade").join(kept), &value);
        ensure!(file.is_none(), "it is kept in {file:?}");
    }
    Ok(())
}

/// Records are smaller; what is larger came from elsewhere.
const RECORD_BYTES: u64 = 1 << 20;

/// A record below a directory that holds a text; the roots and trees of sandboxes are none.
fn holding(directory: &std::path::Path, text: &str) -> Option<std::path::PathBuf> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find_map(|path| {
        let is_tree = path.ends_with("root") || path.ends_with("trees");
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() && !is_tree => holding(&path, text),
            Ok(found) if found.is_file() && found.len() <= RECORD_BYTES => {
                let bytes = fs::read(&path).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(text).then_some(path)
            }
            _ => None,
        }
    })
}
