//! A supervisor that is killed: nothing keeps running, and `gc` removes the rest.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure, host, program, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test("R2-running", "killed while commands run", while_running)
        .needs(&[ControlKind::DiesWithSupervisor])
        .alone().small(),
    Behaviour::test(
        "R2-others",
        "what a killed supervisor leaves is taken away, and nothing of others: their processes and sandboxes live on",
        others_live_on,
    )
        .needs(&[ControlKind::DiesWithSupervisor])
        .alone().small(),
    Behaviour::test("R2-start", "killed at forty moments of its start", while_starting)
        .needs(&[ControlKind::DiesWithSupervisor])
        .alone().small(),
    Behaviour::test(
        "R2-asked",
        "asked to end at thirty moments of its start, a supervisor cleans up by itself",
        asked_while_starting,
    )
    .alone().small(),
    Behaviour::test("R2-calls", "killed at each step of the set-up", at_each_call)
        .alone()
        .simulated().small(),
    Behaviour::test(
        "R2-guest",
        "a guest that is killed at each step is an error, and nothing stays",
        guest_at_each_call,
    )
    .alone()
    .simulated().small(),
    Behaviour::test(
        "R2-gc-live",
        "`gc` leaves running sandboxes and kept changes alone",
        gc_spares,
    )
    .alone().small(),
    Behaviour::test(
        "R2-gc-forgotten",
        "`gc` removes empty cgroups of sandboxes whose folder was deleted, and none that is used or another's",
        gc_forgotten,
    ).small(),
    Behaviour::test(
        "R2-gc-again",
        "`gc` run twice at once, and on a damaged state directory",
        gc_again,
    )
    .alone().small(),
];

/// What may be left of sandboxes with these ids after gc: nothing.
fn all_clean(world: &World, ids: &BTreeSet<String>, what: &str) -> Verdict {
    all_clean_but(world, ids, what, &BTreeSet::new())
}

/// The same, without processes that were there before: what others left is theirs to tell.
fn all_clean_but(
    world: &World,
    ids: &BTreeSet<String>,
    what: &str,
    before: &BTreeSet<host::Process>,
) -> Verdict {
    let left = &host::below(std::process::id()) - before;
    host::until_gone(&left, Duration::from_secs(2)).map_err(|stop| stop.about(what))?;
    world.stockade(&["gc"])?.expect(0)?;
    let cgroups = host::cgroups_of(ids);
    ensure!(cgroups.is_empty(), "{what}: cgroups are left: {cgroups:?}");
    let list = world.stockade(&["ls", "--json"])?.expect(0)?.text();
    ensure!(
        !list.contains("running"),
        "{what}: still listed as running: {list}"
    );
    let again = world.stockade(&["gc", "--dry-run"])?.expect(0)?;
    ensure!(
        !again.all().contains("would remove"),
        "{what}: gc left something: {}",
        again.all()
    );
    Ok(())
}

/// Names of folders that look like sandboxes, and of what cgroups are called after them.
fn ids(world: &World) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![world.path("state")];
    while let Some(directory) = waiting.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.len() >= 6
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
            {
                found.insert(name);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.path().components().count() < 12 {
                waiting.push(entry.path());
            }
        }
    }
    found.retain(|name| !["sandboxes", "changes", "stockade"].contains(&name.as_str()));
    found
}

fn while_running(world: &World) -> Verdict {
    let before = host::below(std::process::id());
    // The behaviours that follow look at all that is below this process.
    for process in &before {
        let _ = host::signal(process.pid, Signal::KILL);
    }
    let payload = world.payload_inside();
    let script = r#""$0" load background 50000; setsid "$0" load deaf 50000 & "$0" load stopped & "$0" load deaf 50000"#;
    let mut running = world
        .sandbox()
        .flags(&["--name", "killed"])
        .start_open(&["sh", "-c", script, &payload])?;
    let id = running.until_started()?;
    running.until_output("stopping")?;
    let mut exec = world.command(world.suite().program());
    exec.args(["exec", "killed", &payload, "load", "deaf", "50000"])
        .stdin(std::process::Stdio::null());
    let mut exec = exec
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(200));
    let inside = host::below(running.supervisor());
    ensure!(inside.len() >= 4, "only {inside:?} run inside");
    running.signal(Signal::KILL)?;
    host::until_gone(&inside, Duration::from_secs(2))?;
    drop(running);
    let begun = Instant::now();
    while exec.try_wait()?.is_none() {
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "`exec` into a dead sandbox hangs"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    all_clean_but(world, &BTreeSet::from([id]), "while running", &before)?;
    // The name is free again, and the change set is kept or gone, never in the way.
    world
        .sandbox()
        .flags(&["--name", "killed", "--rm"])
        .run(&["true"])?
        .expect(0)
        .map(drop)
}

/// A process of this user that has nothing to do with any sandbox; killed at the end.
struct Bystander(std::process::Child);

impl Bystander {
    fn start(world: &World) -> Verdict<Self> {
        let mut command = world.command("/bin/sleep".as_ref());
        command.arg("1000").stdin(std::process::Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn lives(&mut self) -> Verdict<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn others_live_on(world: &World) -> Verdict {
    let mut bystander = Bystander::start(world)?;
    let script = "echo x > changed; echo y > ~/private; echo ready; sleep 1000 & setsid sleep 1000 & wait";
    let start = |name: &str| -> Verdict<_> {
        let mut running = world
            .sandbox()
            .flags(&["--name", name, "--fresh"])
            .start_open(&["sh", "-c", script])?;
        let id = running.until_started()?;
        running.until_output("ready")?;
        Ok((running, id))
    };
    let (killed, killed_id) = start("killed")?;
    let (mut live, live_id) = start("live")?;
    let inside = host::below(killed.supervisor());
    ensure!(inside.len() >= 3, "only {inside:?} run inside");
    killed.signal(Signal::KILL)?;
    host::until_gone(&inside, Duration::from_secs(10))?;
    drop(killed);
    let folder = |id: &str| world.path("state/stockade/sandboxes").join(id);
    // The control: there is something to take away, and a look alone takes nothing.
    ensure!(folder(&killed_id).exists(), "nothing was left to take away");
    world.stockade(&["gc", "--dry-run"])?.expect(0)?;
    ensure!(folder(&killed_id).exists(), "a dry run has removed it");
    let told = world.stockade(&["gc"])?.expect(0)?.text();
    ensure!(told.contains(&killed_id) && !told.contains(&live_id), "{told}");
    ensure!(!folder(&killed_id).exists(), "its folder is still there");
    let cgroups = host::cgroups_of(&BTreeSet::from([killed_id]));
    ensure!(cgroups.is_empty(), "cgroups are left: {cgroups:?}");
    ensure!(bystander.lives()?, "a process of the user was killed");
    ensure!(
        live.is_running()? && folder(&live_id).exists(),
        "another sandbox was harmed"
    );
    world
        .stockade(&["exec", "live", "cat", "changed"])?
        .expect_text("x")?;
    live.signal(Signal::TERM)?;
    live.wait()?;
    ensure!(
        bystander.lives()?,
        "a process of the user was killed at the end of a sandbox"
    );
    Ok(())
}

fn while_starting(world: &World) -> Verdict {
    let begun = Instant::now();
    world.sandbox().flags(&["--rm"]).run(&["true"])?.expect(0)?;
    let whole = begun.elapsed();
    for moment in 0..40_u32 {
        let running = world.sandbox().start_open(&["sleep", "40"])?;
        std::thread::sleep(whole * moment / 36);
        running.signal(Signal::KILL)?;
        drop(running);
        let left = host::below(std::process::id());
        host::until_gone(&left, Duration::from_secs(2))
            .map_err(|stop| stop.about(&format!("moment {moment}")))?;
    }
    let ids = ids(world);
    all_clean(world, &ids, "forty moments")
}

/// Signals that ask: what follows is the supervisor's own work, without gc.
fn asked_while_starting(world: &World) -> Verdict {
    let begun = Instant::now();
    world.sandbox().flags(&["--rm"]).run(&["true"])?.expect(0)?;
    let whole = begun.elapsed();
    let signals = [Signal::TERM, Signal::INT, Signal::HUP];
    for moment in 0..30_u32 {
        let what = format!("moment {moment}");
        let mut running = world.sandbox().flags(&["--rm"]).start_open(&["sleep", "40"])?;
        std::thread::sleep(whole * moment / 26);
        running.signal(signals[moment as usize % signals.len()])?;
        let ended = Instant::now();
        while running.is_running()? {
            ensure!(
                ended.elapsed() < Duration::from_secs(15),
                "{what}: it does not end"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let finished = running.wait()?;
        ensure!(finished.code != 0, "{what}: exit 0");
        let left = host::below(std::process::id());
        host::until_gone(&left, Duration::from_secs(2)).map_err(|stop| stop.about(&what))?;
    }
    let list = world.stockade(&["ls", "--json"])?.expect(0)?.text();
    // Before it handles signals at all, the kernel ends it: gc knows the rest.
    ensure!(!list.contains("running"), "{list}");
    let ids = ids(world);
    all_clean(world, &ids, "thirty moments")
}

/// Calls in the order of a start; the first use that a supervisor makes of each.
const STEPS: [&str; 12] = [
    "mkdirat",
    "mkdir",
    "socketpair",
    "clone3",
    "open_tree",
    "sendmsg",
    "pidfd_open",
    "renameat",
    "renameat2",
    "unlinkat",
    "fsopen",
    "openat2",
];

fn killed_by_call(world: &World, follow: bool, call: &str, when: u32) -> Verdict<i32> {
    if program::find("strace").is_none() {
        return skip("strace is missing");
    }
    let log = world.path("outside/strace").display().to_string();
    let inject = format!("inject={call}:signal=KILL:when={when}");
    let trace = format!("trace={call}");
    let mut launcher = vec!["strace", "-qq", "-o", &log, "-e", &trace, "-e", &inject];
    if follow {
        launcher.insert(1, "-f");
    }
    let finished = world
        .sandbox()
        .launcher(&launcher)
        .flags(&["--rm"])
        .run(&["sh", "-c", "echo ran"])?;
    Ok(finished.code)
}

fn at_each_call(world: &World) -> Verdict {
    let mut killed = 0;
    for call in STEPS {
        for when in [1, 2] {
            let code = killed_by_call(world, false, call, when)?;
            killed += u32::from(code == 137);
            let what = format!("{call} {when}");
            let ids = ids(world);
            all_clean(world, &ids, &what)?;
        }
    }
    ensure!(killed >= 5, "only {killed} of the calls were made");
    world
        .sandbox()
        .flags(&["--rm"])
        .run(&["true"])?
        .expect(0)
        .map(drop)
}

fn guest_at_each_call(world: &World) -> Verdict {
    let calls = [
        "unshare",
        "fsopen",
        "fsmount",
        "move_mount",
        "pivot_root",
        "sethostname",
        "capset",
        "landlock_restrict_self",
        "seccomp",
        "setsid",
        "umount2",
        "close_range",
        "landlock_create_ruleset",
    ];
    let mut killed = 0;
    for call in calls {
        for when in [1, 2] {
            let code = killed_by_call(world, true, call, when)?;
            ensure!([0, 125, 137].contains(&code), "{call} {when}: exit {code}");
            killed += u32::from(code != 0);
            let what = format!("{call} {when}");
            let left = host::below(std::process::id());
            host::until_gone(&left, Duration::from_secs(2)).map_err(|stop| stop.about(&what))?;
            let list = world.stockade(&["ls", "--json"])?.expect(0)?.text();
            ensure!(list.trim() == "[]" || code == 137, "{what}: left behind: {list}");
        }
    }
    ensure!(killed >= 8, "only {killed} of the calls were made");
    let ids = ids(world);
    all_clean(world, &ids, "guest")
}

fn gc_spares(world: &World) -> Verdict {
    world
        .sandbox()
        .flags(&["--name", "kept"])
        .shell("echo x > file")?
        .expect(0)?;
    let mut running = world.sandbox().flags(&["--name", "live"]).start_open(&[
        "sh",
        "-c",
        "echo x > file; echo ready; read line; cat file; exit 6",
    ])?;
    running.until_output("ready")?;
    for _ in 0..3 {
        world.stockade(&["gc"])?.expect(0)?;
    }
    world
        .stockade(&["exec", "live", "cat", "file"])?
        .expect_text("x")?;
    ensure!(
        world
            .stockade(&["changes", "kept"])?
            .expect(0)?
            .text()
            .contains("file"),
        "kept changes were removed"
    );
    running.feed(b"\n".to_vec());
    let finished = running.wait()?.expect(6)?;
    ensure!(finished.text() == "ready\nx\n", "{}", finished.all());
    Ok(())
}

fn gc_forgotten(world: &World) -> Verdict {
    let start = |name: &str| {
        let mut running = world.sandbox().flags(&["--name", name]).start_open(&[
            "sh",
            "-c",
            "echo ready; read line; exit 6",
        ])?;
        let id = running.until_started()?;
        running.until_output("ready")?;
        stockade_conformance::Verdict::Ok((running, BTreeSet::from([id])))
    };
    let (dead, dead_id) = start("dead")?;
    let (mut live, live_id) = start("live")?;
    if host::cgroups_of(&live_id).is_empty() {
        return skip("no cgroup can be made here");
    }
    let inside = host::below(dead.supervisor());
    dead.signal(Signal::KILL)?;
    host::until_gone(&inside, Duration::from_secs(2))?;
    drop(dead);
    // What is stopped does not notice that its record is gone, and goes on being used.
    live.signal(Signal::STOP)?;
    std::fs::remove_dir_all(world.path("state/stockade/sandboxes"))?;
    let gc = |state: &str, flags: &[&str]| {
        let mut command = world.command(world.suite().program());
        command
            .arg("gc")
            .args(flags)
            .env("XDG_STATE_HOME", world.path(state));
        stockade_conformance::run::finish(command, Vec::new(), None)?.expect(0)
    };
    gc("outside", &[])?;
    gc("state", &["--dry-run"])?.complains(&[])?;
    ensure!(
        !host::cgroups_of(&dead_id).is_empty(),
        "it was removed for another state directory, or by a dry run"
    );
    let told = gc("state", &[])?.text();
    ensure!(
        dead_id.iter().all(|id| told.contains(id.as_str())),
        "not told: {told}"
    );
    let left = host::cgroups_of(&dead_id);
    ensure!(left.is_empty(), "cgroups are left: {left:?}");
    ensure!(
        !host::cgroups_of(&live_id).is_empty() && live.is_running()?,
        "the cgroup of a living sandbox was removed"
    );
    // It ends when it notices: nobody could find it any more. Its end cannot be recorded.
    live.signal(Signal::CONT)?;
    let finished = live.wait()?;
    ensure!(
        [125, 137].contains(&finished.code),
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    let left = host::cgroups_of(&live_id);
    ensure!(left.is_empty(), "cgroups are left: {left:?}");
    Ok(())
}

fn gc_again(world: &World) -> Verdict {
    for _ in 0..6 {
        let mut running = world.sandbox().start_open(&["sleep", "40"])?;
        running.until_started()?;
        running.signal(Signal::KILL)?;
    }
    let ids = ids(world);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                let mut command = world.command(world.suite().program());
                command.arg("gc");
                scope.spawn(move || stockade_conformance::run::finish(command, Vec::new(), None))
            })
            .collect();
        for run in runs {
            let Ok(finished) = run.join() else {
                return stockade_conformance::fail("a thread ended");
            };
            finished?.expect(0)?;
        }
        Ok(())
    })?;
    all_clean(world, &ids, "four at once")?;
    world.file("state/stockade/sandboxes/garbage/status.json", "{ not json")?;
    world.file("state/stockade/sandboxes/loose-file", "x")?;
    let finished = world.stockade(&["gc"])?;
    ensure!(
        [0, 125].contains(&finished.code) && !finished.stderr.contains("panicked"),
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    world.sandbox().flags(&["--rm"]).run(&["true"])?.expect(0)?;
    world.stockade(&["ls"])?.expect(0).map(drop)
}
