//! What sandboxes could leave on the host when they end, however they end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stockade_domain::ControlKind;

use super::running::{beside, stockade};
use crate::canary::token;
use crate::ground::PAYLOAD_INSIDE;
use crate::host::Process;
use crate::rpc::RpcWall;
use crate::run::{Running, outside};
use crate::{Field, Probe, Setting, Severity, Verdict, Wall, ensure, ensure_sound, fail, host, skip};

/// Longer than any end takes, on any machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub const ALL: &[Probe] = &[
    Probe::question(
        "CL01",
        Severity::High,
        "a process in a session of its own that outlives the command",
        background,
    )
    .needs(&[ControlKind::DiesWithSupervisor])
    .small(),
    Probe::question("CL02", Severity::High, "mounts on the host", mounts).small(),
    Probe::question("CL03", Severity::Medium, "control groups", groups).small(),
    Probe::question("CL04", Severity::High, "namespaces", namespaces)
        .needs(&[ControlKind::ProcessesHidden])
        .small(),
    Probe::question(
        "CL05",
        Severity::Medium,
        "records, sockets and directories",
        |field| files(field, &["load", "held", "inodes", "20"]),
    )
    .small(),
    Probe::question(
        "CL06",
        Severity::Medium,
        "objects of System V and POSIX IPC, and files of /dev/shm",
        objects,
    )
    .needs(&[ControlKind::IpcPrivate])
    .small(),
    Probe::question(
        "CL07",
        Severity::High,
        "open files of the supervisor, more with each command",
        descriptors,
    )
    .small(),
    Probe::question(
        "CL08",
        Severity::High,
        "whatever does not like to end, when its sandbox is removed",
        |field| crowd_ends(field, false),
    )
    .small(),
    Probe::question(
        "CL08-killed",
        Severity::High,
        "whatever does not like to end, when the supervisor is killed",
        |field| crowd_ends(field, true),
    )
    .needs(&[ControlKind::DiesWithSupervisor])
    .small(),
    Probe::question(
        "CL08-client",
        Severity::High,
        "a process of a sandbox whose client goes away",
        client_ends,
    )
    .needs(&[ControlKind::DiesWithSupervisor])
    .small(),
    Probe::question(
        "CL09",
        Severity::Medium,
        "deep trees, and directories that nobody may open",
        |field| files(field, &["load", "held", "deep", "60"]),
    )
    .small(),
    Probe::question(
        "CL10",
        Severity::Medium,
        "ended processes that the supervisor does not wait for",
        zombies,
    )
    .small(),
];

/// Starts the inside half in a sandbox of its own, and waits until it stands.
fn start(field: &Field, words: &[&str]) -> Verdict<(Running, String)> {
    drop(field.ground.payload());
    let words = [&[PAYLOAD_INSIDE], words].concat();
    let mut running = field.sandbox().start_open(&words)?;
    let id = running.until_started()?;
    Ok((running, id))
}

/// Ends it as a command ends.
fn end(mut running: Running) -> Verdict {
    running.feed(Vec::new());
    running.wait()?.expect(0).map(drop)
}

fn kill_all(processes: &BTreeSet<Process>) {
    for process in processes.iter().filter(|process| host::is_alive(process)) {
        let _ = host::signal(process.pid, Signal::KILL);
    }
}

fn background(field: &Field) -> Verdict {
    let words = |token: &str| ["load", "background", "50000", token].map(str::to_owned);
    let outer = token()?;
    field.ground.outside(&[], &[], &words(&outer))?.expect(0)?;
    let alive = host::mentioning(&outer);
    kill_all(&alive);
    ensure_sound!(!alive.is_empty(), "the control's process ended with its parent");
    let inner = token()?;
    field.sandbox().attack(&words(&inner))?.expect(0)?;
    host::until_gone(&host::mentioning(&inner), DEADLINE)
}

/// A mount of its own namespace below the ground.
const OWN_MOUNT: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs none ../outside && exec \"$0\" \"$@\"",
];

fn mounts(field: &Field) -> Verdict {
    let ground = field.ground.path("").display().to_string();
    let below = |text: &str| -> Vec<String> {
        let ours = text
            .lines()
            .filter(|line| line.contains(ground.trim_end_matches('/')));
        ours.map(str::to_owned).collect()
    };
    let mut control = outside(field.ground, OWN_MOUNT, &["load", "held", "fds", "1"])?;
    if control.until_output("held 1").is_err() {
        return skip("inconclusive: this user cannot mount anything, and the look at mounts is not shown");
    }
    let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", control.supervisor()))?;
    drop(control);
    ensure_sound!(
        !below(&table).is_empty(),
        "the control's mount is not seen: {table}"
    );
    let now = || std::fs::read_to_string("/proc/self/mountinfo");
    let (running, _) = start(field, &["load", "held", "fds", "1"])?;
    let during = below(&now()?);
    end(running)?;
    let after = below(&now()?);
    ensure!(
        during.is_empty() && after.is_empty(),
        "on the host while it runs: {during:?}; afterwards: {after:?}"
    );
    Ok(())
}

fn groups(field: &Field) -> Verdict {
    let (running, id) = start(field, &["load", "held", "fds", "1"])?;
    let ids = BTreeSet::from([id]);
    let during = host::cgroups_of(&ids);
    end(running)?;
    let after = host::cgroups_of(&ids);
    ensure!(after.is_empty(), "{after:?}");
    if during.is_empty() {
        return skip("inconclusive: no control group is made here");
    }
    Ok(())
}

/// The namespaces of a process, as far as whoever looks may read them.
fn namespaces_of(pid: u32) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/ns")).into_iter().flatten();
    let links = entries
        .flatten()
        .filter_map(|entry| entry.path().read_link().ok());
    links.map(|link| link.display().to_string()).collect()
}

fn namespaces(field: &Field) -> Verdict {
    let own = namespaces_of(std::process::id());
    let (mut running, _) = start(field, &["load", "held", "fds", "1"])?;
    running.until_output("held 1")?;
    let inside = host::below(running.supervisor());
    let theirs: BTreeSet<String> = inside
        .iter()
        .flat_map(|process| namespaces_of(process.pid))
        .filter(|name| !own.contains(name))
        .collect();
    end(running)?;
    if theirs.is_empty() {
        return skip("inconclusive: none of the sandbox's namespaces can be told from here");
    }
    host::until_gone(&inside, DEADLINE)?;
    let entries = std::fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let left: Vec<String> = namespaces_of(pid)
            .into_iter()
            .filter(|name| theirs.contains(name))
            .collect();
        ensure!(left.is_empty(), "process {pid} is in {left:?}");
    }
    let pinned = std::fs::read_to_string("/proc/self/mountinfo")?;
    let left: Vec<&String> = theirs
        .iter()
        .filter(|name| pinned.contains(name.as_str()))
        .collect();
    ensure!(left.is_empty(), "kept by mounts: {left:?}");
    Ok(())
}

/// What bears the name of a sandbox, where sandboxes have their files. What was thrown away lies in the
/// trash until there is time to free it, and bears none.
fn named(field: &Field, id: &str) -> Vec<PathBuf> {
    let state = field.ground.state().join("stockade");
    let mut places = vec![
        field.ground.path("run"),
        std::env::temp_dir(),
        PathBuf::from("/dev/shm"),
    ];
    places.extend(["sandboxes", "changes", "names"].map(|name| state.join(name)));
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    places.extend(runtime.iter().cloned());
    places.extend(runtime.map(|place| place.join("stockade")));
    let entries = places.iter().filter_map(|place| place.read_dir().ok()).flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains(id))
        })
        .collect()
}

fn files(field: &Field, words: &[&str]) -> Verdict {
    let (mut running, id) = start(field, words)?;
    running.until_output("held ")?;
    let during = named(field, &id);
    end(running)?;
    let after = named(field, &id);
    ensure_sound!(!during.is_empty(), "nothing was seen while it ran");
    ensure!(after.is_empty(), "{after:?}");
    Ok(())
}

fn objects(field: &Field) -> Verdict {
    let attempt = |inside: bool| -> Verdict<Vec<String>> {
        let name = token()?;
        let key = u32::from_str_radix(&name[7..14], 16)?.to_string();
        let words = ["CL06".to_owned(), key.clone(), name.clone()];
        let said = match inside {
            true => field.sandbox().attack(&words)?,
            false => field.ground.outside(&[], &[], &words)?,
        };
        let seen = said.text().contains("DONE").then(|| left_by(&key, &name));
        let again = [&words[..], &["remove".to_owned()]].concat();
        field.ground.outside(&[], &[], &again)?;
        match seen {
            Some(seen) => Ok(seen),
            None => crate::broken(format!("it did not run to its end: {}", said.all())),
        }
    };
    let control = attempt(false)?;
    ensure_sound!(
        control.len() >= 2,
        "of the control's objects were seen {control:?}"
    );
    let left = attempt(true)?;
    ensure!(left.is_empty(), "on the host there are {left:?}");
    Ok(())
}

/// Objects of the host with a key or a name.
fn left_by(key: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["shm", "sem", "msg"] {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let is_there = |line: &str| line.split_whitespace().next() == Some(key);
        found.extend(
            table
                .lines()
                .filter(|line| is_there(line))
                .map(|_| kind.to_owned()),
        );
    }
    for place in ["/dev/shm", "/dev/mqueue"] {
        let path = PathBuf::from(place).join(name);
        if path.exists() {
            found.push(path.display().to_string());
        }
    }
    found
}

/// The supervisor of a sandbox that runs.
pub(super) fn supervisor(sandbox: &super::running::Running) -> Verdict<u32> {
    let told = sandbox.inspect()?;
    match told["supervisor_pid"].as_u64() {
        Some(pid) => Ok(u32::try_from(pid)?),
        None => crate::broken(format!("no supervisor is told: {told}")),
    }
}

fn descriptors(field: &Field) -> Verdict {
    // The control: one more open file is seen.
    let before = host::descriptors(std::process::id())?.len();
    let more = std::fs::File::open(field.ground.helper())?;
    let after = host::descriptors(std::process::id())?.len();
    drop(more);
    ensure_sound!(after > before, "{before} open files became {after}");
    beside(field, "files", &[], &["sleep", "50"], |sandbox| {
        let pid = supervisor(sandbox)?;
        let some = |count: u32| -> Verdict {
            for number in 0..count {
                let word = if number % 2 == 0 {
                    "true"
                } else {
                    "no-such-program"
                };
                sandbox.exec(&[word])?;
            }
            Ok(())
        };
        some(6)?;
        let mut all = host::descriptors(pid)?;
        // Once it begins to watch the host's side of the workspace, which takes some: a leak grows always.
        for _ in 0..4 {
            let before = std::mem::take(&mut all);
            some(8)?;
            let settled = Instant::now() + Duration::from_secs(2);
            loop {
                all = host::descriptors(pid)?;
                if all.len() <= before.len() {
                    return Ok(());
                }
                if Instant::now() > settled {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        fail(format!("more with every eight commands; at last {all:?}"))
    })
}

/// A crowd, and its processes once all of them are there.
fn crowd(running: &mut Running) -> Verdict<BTreeSet<Process>> {
    running.until("the crowd", |running| {
        let said = String::from_utf8_lossy(&running.output()).into_owned();
        let all = said.matches("deaf").count() == 2 && said.contains("stopping");
        all.then(|| host::below(running.supervisor()))
    })
}

fn crowd_ends(field: &Field, is_killed: bool) -> Verdict {
    // The control: outside, those live on.
    let mut control = outside(field.ground, &[], &["load", "crowd", "50000"])?;
    let all = crowd(&mut control)?;
    control.signal(Signal::KILL)?;
    control.until_killed()?;
    let alive = all.iter().filter(|process| host::is_alive(process)).count();
    kill_all(&all);
    ensure_sound!(alive >= 2, "of the control's crowd {alive} outlived it");
    let (mut running, id) = start(field, &["load", "crowd", "50000"])?;
    let inside = crowd(&mut running)?;
    ensure_sound!(inside.len() >= 3, "only {inside:?} run inside");
    if is_killed {
        running.signal(Signal::KILL)?;
        running.wait()?;
        let gone = host::until_gone(&inside, DEADLINE);
        // What it could not take away is taken by whoever comes next.
        stockade(field, &["rm", "--force", &id])?;
        gone?;
    } else {
        stockade(field, &["rm", "--force", &id])?.expect(0)?;
        running.wait()?;
        host::until_gone(&inside, DEADLINE)?;
    }
    let groups = host::cgroups_of(&BTreeSet::from([id.clone()]));
    let files = named(field, &id);
    ensure!(
        groups.is_empty() && files.is_empty(),
        "groups: {groups:?}, files: {files:?}"
    );
    Ok(())
}

fn client_ends(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["load", "background", "50000", &token].map(str::to_owned);
    drop(field.ground.payload());
    let wall = RpcWall::new(field.wall.program(), field.wall.flags(), field.ground);
    wall.attack(&Setting::default(), &words)?.expect(0)?;
    let inside = host::mentioning(&token);
    drop(wall);
    ensure_sound!(!inside.is_empty(), "nothing ran on while the client was there");
    host::until_gone(&inside, DEADLINE)
}

fn zombies(field: &Field) -> Verdict {
    let mut control = outside(field.ground, &[], &["load", "held", "unreaped", "5"])?;
    control.until("5 ended children", |running| {
        (host::zombies_below(running.supervisor()) == 5).then_some(())
    })?;
    drop(control);
    beside(field, "children", &[], &["sleep", "50"], |sandbox| {
        let pid = supervisor(sandbox)?;
        for script in ["true", "kill -9 $$", "sleep 0.01 & exit 3"] {
            sandbox.exec(&["sh", "-c", script])?;
        }
        let deadline = Instant::now() + DEADLINE;
        while host::zombies_below(pid) > 0 {
            ensure!(Instant::now() < deadline, "{} are left", host::zombies_below(pid));
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })
}
