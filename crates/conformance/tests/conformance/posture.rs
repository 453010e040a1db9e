//! What a process inside is, read from inside and from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use stockade_conformance::{Ability, Behaviour, ControlKind, Verdict, World, ensure, fail, host, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "PV03",
        "no capability in any set, no_new_privs, a filter, no groups",
        rights,
    )
    .uses(&[Ability::Procfs])
    .needs(&[ControlKind::Privileges]),
    Behaviour::test(
        "SV08",
        "every thread inside, seen from the host, is confined as planned",
        from_outside,
    )
    .needs(&[ControlKind::Privileges])
    .small(),
    Behaviour::test(
        "SV08-namespaces",
        "every thread inside is in namespaces of its own, and can gain nothing by executing",
        namespaces,
    )
    .needs(&[ControlKind::ProcessesHidden]),
    Behaviour::test(
        "PV06",
        "no mount inside honours set-id bits or device nodes",
        no_set_id_mounts,
    )
    .uses(&[Ability::Procfs]),
    Behaviour::test("SD08", "the working directory is inside", directory),
    Behaviour::test("DV06", "mounts inside are not seen outside", propagation).small(),
    Behaviour::test("IL06", "cgroups inside name nothing of the host", cgroup_names).uses(&[Ability::Procfs]),
];

fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// What executing could give is in `CapBnd`: emptying that needs a right, and no_new_privs keeps it
/// away as well.
const BOUNDING: &str = "CapBnd";

fn check_rights(who: &str, found: &BTreeMap<String, String>) -> Verdict {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        let value = found.get(set).map_or("missing", String::as_str);
        ensure!(
            value.chars().all(|digit| digit == '0') && !value.is_empty(),
            "{who}: {set} {value}"
        );
    }
    ensure!(
        found.get("NoNewPrivs").is_some_and(|value| value == "1"),
        "{who}: NoNewPrivs {:?}",
        found.get("NoNewPrivs")
    );
    ensure!(
        found.get("Seccomp").is_some_and(|value| value == "2"),
        "{who}: Seccomp {:?}",
        found.get("Seccomp")
    );
    let ids = [found.get("Uid"), found.get("Gid")];
    ensure!(
        ids.iter()
            .flatten()
            .all(|ids| ids.split_whitespace().all(|id| id != "0")),
        "{who}: {ids:?}"
    );
    Ok(())
}

fn is_zero(set: Option<&String>) -> bool {
    set.is_some_and(|value| !value.is_empty() && value.chars().all(|digit| digit == '0'))
}

fn rights(world: &World) -> Verdict {
    let control = fields(&world.outside(&[], &[], &["ids".into()])?.text());
    ensure!(
        check_rights("control", &control).is_err(),
        "the control is confined already: {control:?}"
    );
    let inside = fields(&world.sandbox().attack(&["ids".into()])?.expect(0)?.text());
    check_rights("inside", &inside)?;
    ensure!(is_zero(inside.get(BOUNDING)), "{:?}", inside.get(BOUNDING));
    let groups = inside.get("Groups").cloned().unwrap_or_default();
    let harmless = groups.split_whitespace().all(|group| {
        group == "65534" || Some(group) == inside.get("Gid").and_then(|ids| ids.split_whitespace().next())
    });
    ensure!(harmless, "groups {groups:?}");
    Ok(())
}

fn from_outside(world: &World) -> Verdict {
    each_thread(world, check_thread)
}

fn namespaces(world: &World) -> Verdict {
    each_thread(world, check_namespaces)
}

/// What is checked of a thread: its process, who it is, its fields.
type ThreadCheck = fn(u32, &str, &BTreeMap<String, String>) -> Verdict;

/// The host's own look at all processes below the supervisor.
fn each_thread(world: &World, check: ThreadCheck) -> Verdict {
    let script = "sleep 50 & sleep 50 & echo ready; wait";
    let mut running = world
        .sandbox()
        .flags(&["--name", "seen"])
        .start_open(&["sh", "-c", script])?;
    running.until_output("ready")?;
    let mut second = world.command(world.suite().program());
    second
        .args(["exec", "seen", "sleep", "50"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    let mut second = second.stderr(std::process::Stdio::null()).spawn()?;
    let inside = until_all_are_there(running.supervisor());
    let checked = inside
        .iter()
        .map(|process| check_process(process.pid, check))
        .collect::<Verdict<Vec<u32>>>();
    second.kill()?;
    second.wait()?;
    if inside.is_empty() {
        return skip("this driver's processes are not below the supervisor");
    }
    let threads: u32 = checked?.iter().sum();
    ensure!(threads >= 5, "only {threads} threads were seen: {inside:?}");
    Ok(())
}

/// The guest, the shell, its two children and the second command.
const EXPECTED: usize = 5;

/// The processes below a supervisor, once there are as many as expected or none come any more.
fn until_all_are_there(supervisor: u32) -> BTreeSet<host::Process> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let inside = host::below(supervisor);
        if inside.is_empty() || inside.len() >= EXPECTED || Instant::now() > deadline {
            return inside;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check_process(pid: u32, check: ThreadCheck) -> Verdict<u32> {
    let mut count = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fields(&fs::read_to_string(thread?.path().join("status"))?);
        let who = format!("{pid} {}", status.get("Name").cloned().unwrap_or_default());
        check(pid, &who, &status)?;
        count += 1;
    }
    Ok(count)
}

fn check_thread(_: u32, who: &str, status: &BTreeMap<String, String>) -> Verdict {
    check_rights(who, status)?;
    let uid = status
        .get("Uid")
        .and_then(|ids| ids.split_whitespace().next())
        .and_then(|id| id.parse::<u32>().ok());
    let own = rustix::process::getuid().as_raw();
    ensure!(
        uid.is_some_and(|uid| uid == own && own != 0 || uid > 0x7000_0000),
        "{who} runs as {uid:?}"
    );
    Ok(())
}

fn check_namespaces(pid: u32, who: &str, status: &BTreeMap<String, String>) -> Verdict {
    ensure!(is_zero(status.get(BOUNDING)), "{who}: {:?}", status.get(BOUNDING));
    // What an ordinary user may not read of the guest, root reads.
    for name in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}"))?;
        match fs::read_link(format!("/proc/{pid}/ns/{name}")) {
            Ok(theirs) => ensure!(theirs != own, "{who} shares the {name} namespace"),
            Err(_) if !host::is_root() => {}
            Err(error) => return fail(format!("{who}: {error}")),
        }
    }
    Ok(())
}

fn directory(world: &World) -> Verdict {
    let script = "pwd -P; readlink /proc/self/cwd; cd ..; pwd -P; ls -id / /proc/self/root/ | cut -d' ' -f1 | uniq | wc -l";
    let text = world.shell(script)?.expect(0)?.text();
    ensure!(
        !text.contains("unreachable") && text.trim().ends_with('1'),
        "{text}"
    );
    Ok(())
}

fn propagation(world: &World) -> Verdict {
    let before = host::mounts();
    let mut running = world.sandbox().start_open(&["sleep", "50"])?;
    running.until_started()?;
    let during = host::mounts();
    let root = world.path("").display().to_string();
    let new: Vec<&String> = during
        .difference(&before)
        .filter(|line| line.contains(&root))
        .collect();
    ensure!(new.is_empty(), "{new:?}");
    Ok(())
}

fn cgroup_names(world: &World) -> Verdict {
    let text = world.run(&["cat", "/proc/self/cgroup"])?.expect(0)?.text();
    for line in text.lines() {
        let path = line.rsplit(':').next().unwrap_or_default();
        ensure!(path == "/" || path.starts_with("/.."), "{line}");
        ensure!(!path.contains("stockade"), "{line}");
    }
    Ok(())
}

fn no_set_id_mounts(world: &World) -> Verdict {
    let text = world.run(&["cat", "/proc/self/mountinfo"])?.expect(0)?.text();
    ensure!(text.lines().count() > 5, "few mounts: {text}");
    for line in text.lines() {
        let options = line.split(' ').nth(5).unwrap_or_default();
        let at = line.split(' ').nth(4).unwrap_or_default();
        // What covers other files is the null device itself.
        let null = line.split(' ').nth(3) == Some("/null");
        ensure!(options.contains("nosuid"), "{at} honours set-id bits: {line}");
        ensure!(
            options.contains("nodev") || null || at.starts_with("/dev"),
            "{at} honours device nodes: {line}"
        );
    }
    Ok(())
}
