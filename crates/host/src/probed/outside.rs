//! What the kernel says of a sandbox that runs, read by the host: of each thread of each process below the
//! supervisor, whatever the driver planned or its receipt says. One row of [`LOOKS`] is one thing that is looked at.

use std::collections::BTreeMap;
use std::fs;

use stockade_domain::{ControlKind, Level};
use stockade_linux::posture::{Capabilities, Environment, Namespace, Namespaces, Process, Thread};

/// What was planted in the environment and the descriptors of the supervisor: neither may get inside.
#[derive(Clone, Copy, Debug)]
pub struct Planted<'a> {
    /// The value of a variable.
    pub value: &'a str,
    /// A file that it has open.
    pub file: &'a str,
}

/// What a look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Its id, as probes have them.
    pub id: &'static str,
    /// What should be so.
    pub title: &'static str,
    /// The control that it belongs to.
    pub control: ControlKind,
    /// It is so for drivers of this level and above.
    pub from: Level,
    /// Whether it is so, and what was seen; or why nothing was.
    pub seen: Result<(bool, String), String>,
}

/// One thing that is looked at.
struct Look {
    id: &'static str,
    title: &'static str,
    control: ControlKind,
    from: Level,
    at: fn(&Sandbox<'_>) -> Result<(bool, String), String>,
}

const fn look(
    id: &'static str,
    title: &'static str,
    control: ControlKind,
    from: Level,
    at: fn(&Sandbox<'_>) -> Result<(bool, String), String>,
) -> Look {
    Look {
        id,
        title,
        control,
        from,
        at,
    }
}

/// All, in the order of reports.
const LOOKS: [Look; 15] = [
    look(
        "OP01",
        "ids and groups of every thread are not root's",
        ControlKind::Privileges,
        Level::Jail,
        ids,
    ),
    look(
        "OP02",
        "no thread has capabilities",
        ControlKind::Privileges,
        Level::Jail,
        capabilities,
    ),
    look(
        "OP03",
        "no thread can gain privileges by executing",
        ControlKind::Privileges,
        Level::Jail,
        no_new_privileges,
    ),
    look(
        "OP04",
        "every thread is behind a filter of system calls",
        ControlKind::SyscallFilter,
        Level::Jail,
        filter,
    ),
    look(
        "OP05",
        "a user namespace of its own",
        ControlKind::Privileges,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::User),
    ),
    look(
        "OP06",
        "a mount namespace of its own",
        ControlKind::FilesUnreadable,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::Mnt),
    ),
    look(
        "OP07",
        "a PID namespace of its own",
        ControlKind::ProcessesHidden,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::Pid),
    ),
    look(
        "OP08",
        "a network namespace of its own",
        ControlKind::NetworkNone,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::Net),
    ),
    look(
        "OP09",
        "an IPC namespace of its own",
        ControlKind::IpcPrivate,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::Ipc),
    ),
    look(
        "OP10",
        "a UTS namespace of its own",
        ControlKind::HostnamePrivate,
        Level::Container,
        |sandbox| sandbox.apart(Namespace::Uts),
    ),
    look(
        "OP11",
        "system directories are mounted read-only",
        ControlKind::SystemReadOnly,
        Level::Container,
        mounts,
    ),
    look(
        "OP12",
        "no descriptor of the supervisor's caller",
        ControlKind::DescriptorsClosed,
        Level::Jail,
        descriptors,
    ),
    look(
        "OP13",
        "no variable of the supervisor's caller",
        ControlKind::CleanEnvironment,
        Level::Jail,
        environment,
    ),
    look(
        "OP14",
        "a memory group of its own",
        ControlKind::Memory,
        Level::Jail,
        memory_group,
    ),
    look(
        "OP15",
        "killed no later than the supervisor when memory is short",
        ControlKind::Memory,
        Level::Jail,
        badness,
    ),
];

/// The ids and titles of all looks.
pub fn looks() -> impl Iterator<Item = (&'static str, &'static str, ControlKind)> {
    LOOKS.iter().map(|look| (look.id, look.title, look.control))
}

/// A sandbox, as its supervisor's processes.
struct Sandbox<'a> {
    supervisor: Process,
    inside: Vec<Process>,
    planted: Planted<'a>,
}

/// Looks at everything below a supervisor that waits for a command.
///
/// # Errors
/// There is nothing below it, or it is gone.
pub fn look_at(supervisor: u32, planted: Planted<'_>) -> Result<Vec<Looked>, String> {
    let open = |pid: u32| {
        let pid = i32::try_from(pid).map_err(|error| error.to_string())?;
        Process::open(pid).map_err(|error| error.to_string())
    };
    let inside = below(supervisor);
    if inside.is_empty() {
        return Err(format!("no process runs below the supervisor {supervisor}"));
    }
    let sandbox = Sandbox {
        supervisor: open(supervisor)?,
        inside: inside.into_iter().map(open).collect::<Result<_, _>>()?,
        planted,
    };
    let looked = LOOKS.iter().map(|look| Looked {
        id: look.id,
        title: look.title,
        control: look.control,
        from: look.from,
        seen: (look.at)(&sandbox),
    });
    Ok(looked.collect())
}

/// True if a process of this name runs below another.
#[must_use]
pub fn runs_below(supervisor: u32, name: &str) -> bool {
    let is_named =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    below(supervisor).iter().any(is_named)
}

/// Every process below another.
fn below(ancestor: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = field(pid, "status", "PPid:").and_then(|text| text.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut waiting) = (Vec::new(), vec![ancestor]);
    while let Some(parent) = waiting.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            // What has ended has no posture.
            if field(child, "status", "State:").is_some_and(|state| !state.starts_with('Z')) {
                found.push(child);
            }
            waiting.push(child);
        }
    }
    found
}

fn field(pid: u32, file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

impl Sandbox<'_> {
    /// What is true of every thread, with what each kind of process showed.
    fn threads(
        &self,
        holds: fn(&Thread) -> bool,
        told: fn(&Thread) -> String,
    ) -> Result<(bool, String), String> {
        let (mut all, mut seen) = (true, Vec::new());
        for process in &self.inside {
            for thread in process.threads().map_err(|error| error.to_string())? {
                all &= holds(&thread);
                seen.push(told(&thread));
            }
        }
        seen.sort();
        seen.dedup();
        Ok((all && !seen.is_empty(), seen.join(", ")))
    }

    /// Whether every process is in another namespace than the supervisor.
    fn apart(&self, kind: Namespace) -> Result<(bool, String), String> {
        let read = |process: &Process| -> Result<Namespaces, String> {
            process.namespaces().map_err(|error| error.to_string())
        };
        let number = |spaces: &Namespaces| {
            spaces
                .get(kind)
                .ok_or_else(|| format!("no {} namespace", kind.name()))
        };
        let own = number(&read(&self.supervisor)?)?;
        let (mut all, mut seen) = (true, Vec::new());
        for process in &self.inside {
            let inside = number(&read(process)?)?;
            all &= inside != own;
            seen.push(inside.to_string());
        }
        seen.sort();
        seen.dedup();
        Ok((
            all,
            format!("{} of the sandbox, {own} of the host", seen.join(", ")),
        ))
    }
}

fn ids(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let holds = |thread: &Thread| {
        let (user, group) = (thread.user.real, thread.group.real);
        user != 0
            && group != 0
            && thread.user.all_are(user)
            && thread.group.all_are(group)
            && !thread.groups.contains(&0)
    };
    sandbox.threads(holds, |thread| {
        format!(
            "user {}, group {}, {} more groups",
            thread.user.real,
            thread.group.real,
            thread.groups.len()
        )
    })
}

/// But for the bounding set: it gives nothing where executing gives nothing.
fn capabilities(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    sandbox.threads(
        |thread| {
            Capabilities {
                bounding: 0,
                ..thread.capabilities
            }
            .are_empty()
        },
        |thread| {
            let sets = thread.capabilities;
            format!(
                "{:x}",
                sets.inheritable | sets.permitted | sets.effective | sets.ambient
            )
        },
    )
}

fn no_new_privileges(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    sandbox.threads(
        |thread| thread.no_new_privs == Some(true),
        |thread| format!("no_new_privs {}", u8::from(thread.no_new_privs == Some(true))),
    )
}

fn filter(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    sandbox.threads(
        |thread| thread.seccomp.mode == Some(2),
        |thread| format!("mode {}", thread.seccomp.mode.unwrap_or(0)),
    )
}

fn mounts(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let (mut all, mut seen) = (true, Vec::new());
    for process in &sandbox.inside {
        for mount in process.mounts().map_err(|error| error.to_string())? {
            let is_system = ["/usr", "/etc", "/bin", "/lib"]
                .iter()
                .any(|at| mount.point.starts_with(at));
            if is_system {
                all &= mount.is_read_only();
                let how = if mount.is_read_only() { "ro" } else { "rw" };
                seen.push(format!("{} {how}", mount.point.display()));
            }
        }
    }
    seen.sort();
    seen.dedup();
    seen.truncate(8);
    Ok((all && !seen.is_empty(), seen.join(", ")))
}

/// The supervisor has it: the control.
fn descriptors(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let (mut clean, mut count) = (true, 0);
    for process in &sandbox.inside {
        for one in process.descriptors().map_err(|error| error.to_string())? {
            clean &= one.target != sandbox.planted.file;
            count += 1;
        }
    }
    let told = if clean {
        "none of them the caller's"
    } else {
        "the caller's file among them"
    };
    Ok((clean, format!("{count} descriptors, {told}")))
}

/// The supervisor has it: the control, without which nothing is shown.
fn environment(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let has = |process: &Process| -> Result<bool, String> {
        match process.environment().map_err(|error| error.to_string())? {
            Environment::Known(variables) => {
                let value = sandbox.planted.value;
                Ok(variables.iter().any(|one| one.to_string_lossy().contains(value)))
            }
            Environment::Size { bytes: 0 } => Ok(false),
            Environment::Size { bytes } => Err(format!("{bytes} bytes that cannot be read")),
        }
    };
    if !has(&sandbox.supervisor)? {
        return Err("the supervisor itself has not what was planted".to_owned());
    }
    let mut clean = true;
    for process in &sandbox.inside {
        clean &= !has(process)?;
    }
    let told = if clean {
        "what was planted did not pass"
    } else {
        "what was planted is inside"
    };
    Ok((clean, told.to_owned()))
}

/// In the tree that counts memory: that of version 1, else the one of version 2.
fn memory_group(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let group = |process: &Process| -> Result<String, String> {
        let groups = process.cgroups().map_err(|error| error.to_string())?;
        let counts = |controllers: &str| controllers.split(',').any(|one| one == "memory");
        let first = groups
            .iter()
            .find(|group| counts(&group.controllers.to_string_lossy()));
        let found = first.or_else(|| groups.iter().find(|group| group.hierarchy == 0));
        found
            .map(|group| group.path.display().to_string())
            .ok_or_else(|| "no group".to_owned())
    };
    let own = group(&sandbox.supervisor)?;
    let (mut apart, mut seen) = (true, Vec::new());
    for process in &sandbox.inside {
        let inside = group(process)?;
        apart &= inside != own;
        seen.push(inside);
    }
    seen.sort();
    seen.dedup();
    Ok((apart, seen.join(", ")))
}

fn badness(sandbox: &Sandbox<'_>) -> Result<(bool, String), String> {
    let read = |process: &Process| -> Result<i32, String> {
        let path = format!("/proc/{}/oom_score_adj", process.number());
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        text.trim().parse().map_err(|_| format!("{path}: no number"))
    };
    let own = read(&sandbox.supervisor)?;
    let mut lowest = i32::MAX;
    for process in &sandbox.inside {
        lowest = lowest.min(read(process)?);
    }
    Ok((
        lowest >= own,
        format!("adjusted by {lowest}, the supervisor by {own}"),
    ))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The control of every look: what runs without a sandbox is seen to do so.
    #[test]
    fn what_is_in_no_sandbox_is_seen_to_be_in_none() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("planted");
        std::fs::write(&file, "x").unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 600; true"])
            .env("PLANTED", "planted-value")
            .stdin(std::fs::File::open(&file).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !runs_below(shell.id(), "sleep") {
            assert!(std::time::Instant::now() < until, "sleep never ran");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let name = file.display().to_string();
        let looked = look_at(
            shell.id(),
            Planted {
                value: "planted-value",
                file: &name,
            },
        )
        .unwrap();
        let sleep = below(shell.id());
        for pid in sleep.into_iter().chain([shell.id()]) {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        // An ordinary user has no capabilities and is not root, in the end; and nothing is killed later.
        let own = Process::open(i32::try_from(std::process::id()).unwrap())
            .unwrap()
            .threads()
            .unwrap();
        let of_user = if own[0].user.real == 0 {
            &[][..]
        } else {
            &["OP01", "OP02"]
        };
        let of_reader: &[&str] = if own[0].no_new_privs == Some(true) {
            &["OP03"]
        } else {
            &[]
        };
        let filtered: &[&str] = if own[0].seccomp.mode == Some(2) {
            &["OP04"]
        } else {
            &[]
        };
        for one in &looked {
            let may_hold = [of_user, of_reader, filtered, &["OP11", "OP15"]]
                .concat()
                .contains(&one.id);
            let (holds, seen) = one.seen.as_ref().unwrap();
            assert!(!holds || may_hold, "{}: {seen}", one.id);
        }
        assert_eq!(looked.len(), LOOKS.len());
    }

    #[test]
    fn a_supervisor_with_nothing_below_it_shows_nothing() {
        let planted = Planted {
            value: "x",
            file: "/x",
        };
        assert!(look_at(u32::MAX - 1, planted).is_err_and(|why| why.contains("no process runs below")));
    }
}
