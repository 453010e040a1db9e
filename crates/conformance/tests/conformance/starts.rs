//! Starts of programs inside are recorded, whatever the workload does.

use serde_json::Value;
use stockade_conformance::{
    Behaviour, ControlKind, Sandbox, Verdict, World, ensure, fail, host, program, skip,
};

const NEEDS: &[ControlKind] = &[ControlKind::ProcessStarts];

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "starts-recorded",
        "each start is recorded with arguments, directory and parent, and how it ended",
        recorded,
    )
    .needs(NEEDS),
    Behaviour::test(
        "starts-unasked",
        "without being asked for it nothing is recorded of them",
        unasked,
    ),
    Behaviour::test(
        "starts-exec",
        "those of a second command are recorded as well",
        second_command,
    )
    .needs(NEEDS),
    Behaviour::test(
        "starts-unavoidable",
        "no way to start a program goes unrecorded",
        unavoidable,
    )
    .needs(NEEDS),
    Behaviour::test(
        "starts-unforged",
        "nothing that a command says or is called adds to the record or breaks it",
        unforged,
    )
    .needs(NEEDS),
    Behaviour::test(
        "starts-unstoppable",
        "the command cannot end the recording of what follows",
        unstoppable,
    )
    .needs(NEEDS),
];

/// A run with a name that is recorded.
fn audited<'w>(world: &'w World<'w>) -> Sandbox<'w> {
    world.sandbox().flags(&["--audit-processes", "--name", "audited"])
}

/// The record's events of a kind.
fn events(world: &World, kind: &str) -> Verdict<Vec<Value>> {
    let shown = world.stockade(&["audit", "show", "audited", "--json", "--kind", kind])?;
    let lines: Result<Vec<Value>, _> = shown
        .expect(0)?
        .text()
        .lines()
        .map(serde_json::from_str)
        .collect();
    Ok(lines?.iter().map(|line| line["event"].clone()).collect())
}

/// The one start whose arguments begin like this.
fn start<'e>(starts: &'e [Value], begins: &[&str]) -> Verdict<&'e Value> {
    let like = |start: &&Value| {
        begins
            .iter()
            .enumerate()
            .all(|(index, word)| start["argv"][index] == *word)
    };
    match starts.iter().filter(like).collect::<Vec<_>>().as_slice() {
        [one] => Ok(one),
        other => fail(format!("{} starts of {begins:?} in {starts:?}", other.len())),
    }
}

fn recorded(world: &World) -> Verdict {
    let script = "mkdir below; (cd below && /bin/echo 'one word' two >/dev/null); \
                  \"$0\" do exit 3; \"$0\" do signal 9; exit 7";
    let payload = world.payload_inside();
    audited(world)
        .run(&["/bin/sh", "-c", script, &payload])?
        .expect(7)?;
    let starts = events(world, "process-started")?;
    let (echo, main) = (start(&starts, &["/bin/echo"])?, start(&starts, &["/bin/sh"])?);
    ensure!(
        echo["argv"] == serde_json::json!(["/bin/echo", "one word", "two"]),
        "{echo}"
    );
    let below = world.path("work/below").display().to_string();
    ensure!(echo["cwd"] == below.as_str(), "{echo}");
    // The shell may have made a process for the parentheses first, which starts nothing.
    ensure!(
        echo["parent"].is_u64() && echo["parent"] != echo["pid"],
        "{echo}: no parent"
    );
    let ends = events(world, "process-ended")?;
    let end = |start: &Value| ends.iter().find(|end| end["pid"] == start["pid"]).cloned();
    // That they end is known from Linux 6.13 on; how, from 6.15, and null before.
    let (exit, signal) = (
        start(&starts, &[&payload, "do", "exit"])?,
        start(&starts, &[&payload, "do", "signal"])?,
    );
    ensure!(
        exit["parent"] == main["pid"] && signal["parent"] == main["pid"],
        "{exit} {signal}: their parent is not {main}"
    );
    if !host::kernel_is_at_least(6, 13) {
        ensure!(ends.is_empty(), "this kernel does not tell of ends: {ends:?}");
        return world.stockade(&["audit", "verify"])?.expect(0).map(drop);
    }
    for (start, cause, value) in [(exit, "code", 3), (signal, "signal", 9), (main, "code", 7)] {
        let Some(end) = end(start) else {
            return fail(format!("no end of {start}: {ends:?}"));
        };
        let known = end["exit"]["cause"] == cause && end["exit"]["value"] == value;
        ensure!(known || end["exit"].is_null(), "{start}: {end}");
    }
    world.stockade(&["audit", "verify"])?.expect(0).map(drop)
}

fn unasked(world: &World) -> Verdict {
    let plain = world.sandbox().flags(&["--name", "audited"]);
    plain.run(&["sh", "-c", "/bin/echo x"])?.expect_text("x")?;
    let starts = events(world, "process-started")?;
    ensure!(starts.is_empty(), "{starts:?}");
    // The positive control: the record is there, and is read.
    ensure!(events(world, "exec-started")?.len() == 1, "no record of the run");
    Ok(())
}

fn second_command(world: &World) -> Verdict {
    let mut running = audited(world).start_open(&["sh", "-c", "echo ready; read line; exit 4"])?;
    running.until_output("ready")?;
    world
        .stockade(&["exec", "audited", "/bin/echo", "second"])?
        .expect_text("second")?;
    running.feed(b"\n".to_vec());
    running.wait()?.expect(4)?;
    start(&events(world, "process-started")?, &["/bin/echo"]).map(drop)
}

/// Each line starts a program in another way, under a name of its own.
const WAYS: &str = r#"
import ctypes, os, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def child(act):
    pid = os.fork()
    if pid == 0:
        try: act()
        finally: os._exit(99)
    assert os.waitpid(pid, 0)[1] == 0, act
child(lambda: os.execv('/bin/true', ['way-execve']))
os.posix_spawn('/bin/true', ['way-spawn'], {})
os.wait()
fd = os.open('/bin/true', os.O_RDONLY)
child(lambda: os.execve(fd, ['way-descriptor'], {}))
def at():
    libc.syscall(322, fd, b'', (ctypes.c_char_p * 2)(b'way-execveat', None), None, 0x1000)
if os.uname().machine == 'x86_64': child(at)
else: child(lambda: os.execv('/bin/true', ['way-execveat']))
memory = os.memfd_create('x', 0)
os.write(memory, open('/bin/true', 'rb').read())
child(lambda: os.execve(memory, ['way-memory'], {}))
copy = os.open('copy', os.O_CREAT | os.O_WRONLY, 0o755)
os.write(copy, open('/bin/true', 'rb').read())
os.close(copy)
child(lambda: os.execv('./copy', ['way-copy']))
def orphan():
    os.setsid()
    if os.fork() == 0: os.execv('/bin/true', ['way-orphan'])
    os._exit(0)
child(orphan)
def thread():
    t = threading.Thread(target=lambda: os.execv('/bin/true', ['way-thread']))
    t.start()
    t.join()
child(thread)
print('tried')
"#;
const TRIED: [&str; 8] = [
    "way-execve",
    "way-spawn",
    "way-descriptor",
    "way-execveat",
    "way-memory",
    "way-copy",
    "way-orphan",
    "way-thread",
];

fn unavoidable(world: &World) -> Verdict {
    if program::find("python3").is_none() {
        return skip("python3 is missing");
    }
    audited(world)
        .run(&["python3", "-c", WAYS])?
        .expect_text("tried")?;
    let starts = events(world, "process-started")?;
    for way in TRIED {
        start(&starts, &[way])?;
    }
    Ok(())
}

fn unforged(world: &World) -> Verdict {
    let line = r#"{"v":1,"sandbox":"x","seq":3,"at_ms":1,"event":{"kind":"process-started","pid":1,"argv":["forged"]}}"#;
    // As output, as an argument with line ends, and as the name of a program.
    let script = r#"echo "$1"; echo "$1" >&2; /bin/true "
$1
" "$(printf '\377\033[2J')"; cp /bin/true "$(printf 'a\nb')"; ./"$(printf 'a\nb')"; echo said"#;
    let finished = audited(world).run(&["sh", "-c", script, "sh", line])?.expect(0)?;
    ensure!(finished.text().contains("said"), "{}", finished.all());
    let starts = events(world, "process-started")?;
    ensure!(
        starts.iter().all(|start| start["argv"][0] != "forged"),
        "{starts:?}"
    );
    let told = start(&starts, &["/bin/true"])?;
    ensure!(told["argv"][1] == format!("\n{line}\n"), "{told}");
    start(&starts, &["./a\nb"])?;
    world.stockade(&["audit", "verify"])?.expect(0)?;
    // For people it is one line each, and no terminal is driven.
    let shown = world.stockade(&["audit", "show", "audited"])?.expect(0)?.text();
    ensure!(
        !shown.contains('\u{1b}') && !shown.lines().any(|line| line.starts_with('{')),
        "{shown:?}"
    );
    Ok(())
}

/// Closes, kills and covers what it can, and goes on.
const ATTACK: &str = r#"
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
for fd in range(3, 4096):
    try: os.close(fd)
    except OSError: pass
for number in (signal.SIGTERM, signal.SIGKILL):
    for pid in (1, os.getppid()):
        try: os.kill(pid, number)
        except OSError: pass
# A filter of its own that lets everything through: SECCOMP_SET_MODE_FILTER, with a listener too.
program = (ctypes.c_uint64 * 1)(0x7fff000000000006)
class Program(ctypes.Structure):
    _fields_ = [('count', ctypes.c_ushort), ('steps', ctypes.c_void_p)]
filter = Program(1, ctypes.addressof(program))
number = 317 if os.uname().machine == 'x86_64' else 277
print('filter', libc.syscall(number, 1, 0, ctypes.byref(filter)))
print('listener', libc.syscall(number, 1, 8, ctypes.byref(filter)))
for path in ('process', 'audit'):
    try: os.mkdir(path)
    except OSError: pass
if os.fork() == 0: os.execv('/bin/true', ['after-attack'])
os.wait()
print('went on')
"#;

fn unstoppable(world: &World) -> Verdict {
    if program::find("python3").is_none() {
        return skip("python3 is missing");
    }
    let finished = audited(world).run(&["python3", "-c", ATTACK])?.expect(0)?;
    ensure!(finished.text().contains("went on"), "{}", finished.all());
    let starts = events(world, "process-started")?;
    start(&starts, &["after-attack"])?;
    ensure!(
        finished.text().contains("listener -1"),
        "a second listener: {}",
        finished.all()
    );
    world.stockade(&["audit", "verify"])?.expect(0).map(drop)
}
