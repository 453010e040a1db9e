//! Starts of programs inside: none is missed, whatever way a process takes, and nothing that
//! worked stops working.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::World;

fn audited(world: &World, words: &[&str]) -> Output {
    let run = world.run_with(&["-q", "--audit-processes"], words);
    let output = { run }.output().expect("it runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The events of the last sandbox of these kinds.
fn events(world: &World, kinds: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["audit", "show", "--last", "--json"];
    kinds.iter().for_each(|kind| arguments.extend(["--kind", kind]));
    let shown = world.stockade(&arguments).output().expect("it runs");
    String::from_utf8_lossy(&shown.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event"].clone())
        .collect()
}

/// The start whose arguments are these.
fn start(world: &World, argv: &[&str]) -> Value {
    let all = events(world, &["process-started"]);
    let found = all.iter().find(|event| event["argv"] == serde_json::json!(argv));
    found.unwrap_or_else(|| panic!("no {argv:?} in {all:#?}")).clone()
}

fn python(world: &World, script: &str) {
    audited(world, &["/usr/bin/python3", "-c", script]);
}

#[test]
fn a_start_is_recorded_with_its_parent_its_directory_and_its_end() {
    let world = World::new();
    audited(
        &world,
        &["sh", "-c", "mkdir d; cd d; /bin/sh -c 'exit 3' || /bin/true one"],
    );
    let (outer, inner) = (
        start(
            &world,
            &["sh", "-c", "mkdir d; cd d; /bin/sh -c 'exit 3' || /bin/true one"],
        ),
        start(&world, &["/bin/sh", "-c", "exit 3"]),
    );
    assert_eq!(inner["parent"], outer["pid"]);
    assert_eq!(inner["program"], "/bin/sh");
    let directory = world.project().join("d");
    assert_eq!(inner["cwd"], directory.to_str().expect("UTF-8"));
    let ends = events(&world, &["process-ended"]);
    let end = ends
        .iter()
        .find(|end| end["pid"] == inner["pid"])
        .expect("an end");
    let exit = &end["exit"];
    assert!(
        exit.is_null() || exit["value"] == 3,
        "Linux before 6.15 does not tell: {end}"
    );
    let verified = world.stockade(&["audit", "verify"]).status().expect("it runs");
    assert!(verified.success());
}

#[test]
fn nothing_is_recorded_that_was_not_asked_for() {
    let world = World::new();
    let mut run = world.run_with(&["-q"], &["/bin/true"]);
    assert!(run.status().expect("it runs").success());
    assert!(events(&world, &["process-started"]).is_empty());
    audited(&world, &["/bin/true"]);
    assert_eq!(events(&world, &["process-started"]).len(), 1);
    world.file("p.toml", "version = 1\n[audit]\nprocesses = true\n");
    for (flags, count) in [(&[][..], 1), (&["--no-audit-processes"][..], 0)] {
        let flags = [&["-q", "--policy", "p.toml"], flags].concat();
        let mut run = world.run_with(&flags, &["/bin/true"]);
        assert!(run.status().expect("it runs").success());
        assert_eq!(events(&world, &["process-started"]).len(), count, "{flags:?}");
    }
}

#[test]
fn the_receipt_shows_that_starts_are_told() {
    let world = World::new();
    let plan = world
        .run_with(&["--dry-run", "--audit-processes"], &["true"])
        .output();
    let plan = String::from_utf8_lossy(&plan.expect("it runs").stdout).into_owned();
    assert!(
        plan.contains("process-starts") && plan.contains("told to the supervisor"),
        "{plan}"
    );
    audited(&world, &["/bin/true"]);
    let receipt = events(&world, &["receipt"]).remove(0).to_string();
    assert!(receipt.contains("told of 1 tries of the guest"), "{receipt}");
}

#[test]
fn a_process_that_forks_twice_is_recorded() {
    let world = World::new();
    audited(
        &world,
        &[
            "sh",
            "-c",
            "(setsid sh -c '/bin/echo hidden >out &' &); while ! test -s out; do sleep 0.01; done",
        ],
    );
    start(&world, &["/bin/echo", "hidden"]);
}

#[test]
fn a_program_in_memory_is_recorded() {
    let world = World::new();
    python(
        &world,
        "import os; fd = os.memfd_create('hidden'); os.write(fd, open('/bin/true', 'rb').read()); \
         os.execve(fd, ['innocent'], {})",
    );
    let program = start(&world, &["innocent"])["program"].clone();
    assert!(
        program.as_str().expect("text").contains("memfd:hidden"),
        "{program}"
    );
}

#[test]
fn a_script_a_static_program_and_a_thread_are_recorded() {
    let world = World::new();
    world.file("script", "#!/bin/sh\nexit 0\n");
    std::fs::copy(world.program(), world.project().join("static")).expect("a copy");
    audited(
        &world,
        &["sh", "-c", "chmod +x script static; ./script; ./static --version"],
    );
    assert_eq!(start(&world, &["./script"])["program"], "./script");
    start(&world, &["./static", "--version"]);
    python(
        &world,
        "import os, threading, time; threading.Thread(target=lambda: os.execv('/bin/true', ['thread'])).start(); time.sleep(60)",
    );
    let of = |argv: &[&str]| start(&world, argv)["pid"].clone();
    let all = events(&world, &["process-started"]);
    let first = all.first().expect("the interpreter");
    assert_eq!(
        of(&["thread"]),
        first["pid"],
        "the process's number, not the thread's"
    );
}

#[test]
fn vfork_and_spawn_are_recorded() {
    let world = World::new();
    python(
        &world,
        "import os, subprocess; subprocess.run(['/bin/true', 'vfork'], close_fds=False); \
         os.waitpid(os.posix_spawn('/bin/true', ['spawn'], {}), 0)",
    );
    start(&world, &["/bin/true", "vfork"]);
    start(&world, &["spawn"]);
}

#[test]
fn names_that_were_tried_are_kept_and_secrets_are_not() {
    let world = World::new();
    audited(
        &world,
        &["sh", "-c", "env PATH=/nowhere:/bin true --token hunter2; exit 0"],
    );
    let all = events(&world, &["process-started"]);
    let starts: Vec<_> = all.iter().filter(|event| event["argv"][0] == "true").collect();
    for start in &starts {
        assert_eq!(
            start["argv"],
            serde_json::json!(["true", "--token", "[redacted]"])
        );
    }
    // One record, or two where the machine was too busy for both to be heard together.
    let tried = starts
        .iter()
        .filter_map(|start| start["tried"].as_array())
        .flatten();
    let names: Vec<_> = tried
        .chain(starts.iter().map(|start| &start["program"]))
        .collect();
    assert_eq!(names, ["/nowhere/true", "/bin/true"]);
}

/// What cannot be read is not made up, and does not stop the start.
#[test]
fn strange_arguments_are_survived() {
    let world = World::new();
    python(
        &world,
        "import ctypes, os\n\
         libc = ctypes.CDLL(None)\n\
         for path, argv in [(0, 0), (1, 1), (2**47 - 1, 2**47 - 8), (b'/bin/none', 1)]:\n\
         \x20   path = path if isinstance(path, bytes) else ctypes.c_void_p(path)\n\
         \x20   assert libc.execve(path, ctypes.c_void_p(argv), None) == -1\n\
         os.execv('/bin/echo', ['echo'] + ['x' * 100000] * 10 + ['y'] * 500)",
    );
    let all = events(&world, &["process-started"]);
    assert!(all.iter().any(|event| event["unread"].is_string()), "{all:#?}");
    let last = all.last().expect("a start");
    assert_eq!(last["argv"].as_array().expect("a list").len(), 65);
    assert_eq!(last["argv"][1].as_str().expect("text").chars().count(), 1025);
}

const FILTER: &str = "import ctypes, os, sys\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    class Program(ctypes.Structure):\n\
    \x20   _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]\n\
    allow = (ctypes.c_ubyte * 8)(6, 0, 0, 0, 0, 0, 0xff, 0x7f)\n\
    program = Program(1, ctypes.addressof(allow))\n\
    libc.prctl(38, 1, 0, 0, 0)\n\
    number = 317 if os.uname().machine == 'x86_64' else 277\n\
    flags = int(sys.argv[1])\n\
    done = libc.syscall(number, 1, flags, ctypes.byref(program))\n\
    print(ctypes.get_errno() if done < 0 else 0, flush=True)\n\
    os.execv('/bin/true', ['after'])";

/// A filter of the command's own works; one that wants to be told of calls itself is refused
/// by the kernel, which lets only one be told.
#[test]
fn filters_inside_go_on_working_but_for_listeners() {
    const EBUSY: &str = "16\n";
    let world = World::new();
    for (audit, flags, expected) in [
        ("--audit-processes", "0", "0\n"),
        ("--audit-processes", "8", EBUSY),
        ("--no-audit-processes", "8", "0\n"),
    ] {
        let run = world
            .run_with(&["-q", audit], &["/usr/bin/python3", "-c", FILTER, flags])
            .output();
        let run = run.expect("it runs");
        assert_eq!(String::from_utf8_lossy(&run.stdout), expected, "{audit} {flags}");
        assert!(run.status.success());
    }
}

#[test]
fn a_supervisor_that_is_killed_takes_all_with_it() {
    let world = World::new();
    let marker = format!("{}", 100_000 + std::process::id());
    let script = format!("sleep {marker} & echo up; while :; do /bin/true; done");
    let mut run = world.run_with(&["-q", "--audit-processes"], &["sh", "-c", &script]);
    let mut child = run.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut byte).expect("it is up");
    let until = |there: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_running(&marker) != there {
            assert!(Instant::now() < deadline, "running: {}", !there);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(true);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    until(false);
}

fn is_running(marker: &str) -> bool {
    let wanted = format!("sleep\0{marker}\0");
    std::fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
}

/// Tools that fork, thread, pipe and execute in their own ways.
#[test]
fn real_tools_still_work() {
    let world = World::new();
    world.file("a.c", "int main(void){return 7;}\n");
    for script in [
        "git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && git log | grep -q x",
        "cc a.c -o a && { ./a || test $? = 7; }",
        "printf 'a:\\n\\techo made > a\\n' > Makefile && make -s && test -s a",
        "/usr/bin/python3 -c 'import multiprocessing as m; m.Process(target=print).start()'",
        "perl -e 'exit(system(\"true\"))'",
        "seq 100 | xargs -P 8 -n 1 echo | wc -l | grep -q 100",
        "find / -maxdepth 1 -exec true {} +",
        "tar cf - a.c 2>/dev/null | gzip | gunzip | tar tf - | grep -q a.c",
        "timeout 5 true",
        "awk 'BEGIN { exit system(\"true\") }'",
        "bash -c 'set -m; sleep 0 & wait'",
        "sed -n 1p a.c | sort | head -1 > o",
        "env -i /bin/sh -c 'exit 0'",
        "nohup nice true > n 2>&1",
    ] {
        audited(&world, &["bash", "-c", &format!("set -e; {script}")]);
        assert!(!events(&world, &["process-started"]).is_empty());
        assert!(events(&world, &["lost"]).is_empty(), "{script}");
    }
}
