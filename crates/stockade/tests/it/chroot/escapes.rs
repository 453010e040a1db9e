//! The ways out of a changed root that everybody knows. Each succeeds from a bare chroot as root, which is the
//! control, and is denied inside.

use std::process::{Child, Command, Stdio};

use super::{text, with_system, world};
use crate::detached::skip;
use crate::world::World;

/// `MODE ATTACK CANARY VICTIM JAIL`: says REACHED and what, or DENIED and why.
const ATTACKS: &str = r#"
import os, sys, ctypes, signal, stat
mode, attack, canary, victim, jail, disk = sys.argv[1:7]
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *words):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*words)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def climb():
    for _ in range(64):
        os.chdir("..")
    return open("." + canary).read()

def again():
    os.makedirs("/tmp/deeper", exist_ok=True)
    os.chroot("/tmp/deeper")
    return climb()

def kept():
    for number in range(3, 1024):
        try:
            os.fchdir(number)
        except OSError:
            continue
        return climb()
    raise OSError(9, "no directory is open")

def node():
    os.makedirs("/tmp", exist_ok=True)
    # A cgroup may forbid the disk's to everybody.
    for kind, number in (stat.S_IFBLK, int(disk)), (stat.S_IFCHR, os.makedev(1, 3)):
        try:
            os.mknod(f"/tmp/{kind}", kind | 0o600, number)
            os.close(os.open(f"/tmp/{kind}", os.O_RDONLY))
            return "a device"
        except OSError as error:
            last = error
    raise last

def trace():
    call("ptrace", 16, int(victim), None, None)
    os.waitpid(int(victim), 0x40000000)
    call("ptrace", 17, int(victim), None, None)
    return "the victim"

def mount():
    os.makedirs("/tmp/proc", exist_ok=True)
    call("mount", b"proc", b"/tmp/proc", b"proc", 0, None)
    return open("/tmp/proc/" + victim + "/root" + canary).read()

def proc():
    return open("/proc/" + victim + "/root" + canary).read()

def terminate():
    os.kill(int(victim), signal.SIGTERM)
    return "the victim"

def become_root():
    os.setuid(0)
    return "root"

def set_uid():
    for top, _, files in os.walk("/"):
        for name in files:
            seen = os.lstat(os.path.join(top, name))
            if stat.S_ISREG(seen.st_mode) and seen.st_mode & 0o6000:
                return os.path.join(top, name)
    raise OSError(2, "no set-uid program")

if mode == "bare":
    if attack == "kept":
        left = os.open("/", os.O_RDONLY)
    if attack in ("mount", "proc"):
        call("unshare", 0x20000)
        call("mount", None, b"/", None, 0x44000, None)
    if attack == "proc":
        os.makedirs(jail + "/proc", exist_ok=True)
        call("mount", b"proc", jail.encode() + b"/proc", b"proc", 0, None)
    os.chroot(jail)
    os.chdir("/")
print("BEGUN", flush=True)
try:
    print("REACHED", globals()[attack]())
except OSError as error:
    print("DENIED", error)
"#;

/// A process of root outside.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn();
        Self(child.expect("sleep runs"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SECRET: &str = "a secret of the host";

/// What an attack came to: bare, then inside.
fn attempt(world: &World, attack: &str) -> (String, String, Victim) {
    let (canary, jail) = (world.path("canary"), world.path("jail"));
    std::fs::write(&canary, SECRET).expect("a canary");
    std::fs::create_dir_all(jail.join("tmp")).expect("a jail");
    let program = jail.join("set-uid");
    std::fs::copy("/bin/true", &program).expect("a copy");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(program, mode).expect("a mode");
    world.file("attacks.py", ATTACKS);
    let disk = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata("/").expect("a root"));
    let words = |mode: &str, victim: &Victim| {
        [
            "python3",
            "attacks.py",
            mode,
            attack,
            canary.to_str().expect("UTF-8"),
            &victim.0.id().to_string(),
            jail.to_str().expect("UTF-8"),
            &disk.to_string(),
        ]
        .map(str::to_owned)
    };
    let other = Victim::start();
    let bare = words("bare", &other);
    let control = Command::new(&bare[0])
        .args(&bare[1..])
        .current_dir(world.project())
        .output()
        .expect("python3 runs");
    let victim = Victim::start();
    let inside = words("inside", &victim);
    let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
    let output = with_system(world, &inside);
    let said = |output: &std::process::Output| text(&output.stdout) + &text(&output.stderr);
    (said(&control), said(&output), victim)
}

/// Shows the control, and the denial with one of these reasons.
fn denied(attack: &str, reasons: &[&str]) {
    let Some(world) = world(attack) else { return };
    let (bare, inside, mut victim) = attempt(&world, attack);
    if !bare.contains("REACHED") {
        // A container may have no right to mount, and a disk of its own no node.
        skip(
            attack,
            &format!("the control does not succeed here: {}", bare.replace('\n', " ")),
        );
        return;
    }
    assert!(
        inside.contains("BEGUN") && !inside.contains("REACHED"),
        "{inside}"
    );
    assert!(!inside.contains(SECRET), "{inside}");
    assert!(reasons.iter().any(|reason| inside.contains(reason)), "{inside}");
    assert!(victim.lives());
}

const PERMITTED: &str = "Errno 1]";
const NOT_THERE: &str = "Errno 2]";
const NO_CALL: &str = "Errno 38]";

#[test]
fn the_root_cannot_be_changed_again() {
    denied("again", &[PERMITTED, NO_CALL]);
}

#[test]
fn no_open_directory_leads_out() {
    denied("kept", &["no directory is open"]);
}

#[test]
fn no_device_node_can_be_made() {
    denied("node", &[PERMITTED]);
}

#[test]
fn no_process_outside_can_be_traced() {
    denied("trace", &[PERMITTED, "Errno 3]", NO_CALL]);
}

#[test]
fn nothing_can_be_mounted() {
    denied("mount", &[PERMITTED, NO_CALL]);
}

#[test]
fn no_root_of_another_process_can_be_entered() {
    denied("proc", &[NOT_THERE]);
}

#[test]
fn no_process_outside_can_be_signalled() {
    denied("terminate", &[PERMITTED]);
}

#[test]
fn nobody_inside_becomes_root() {
    denied("become_root", &[PERMITTED]);
}

#[test]
fn no_set_uid_program_is_inside() {
    denied("set_uid", &["no set-uid program"]);
}
