//! The second wall on this kernel, and the inner domain that protects the guest.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Stdio;

use libc::{EACCES, EPERM};
use stockade_linux::landlock::{self, Entered, Rules};

use crate::helper::{self, Wall, command, run_ok, tell, value};
use crate::sys;

crate::tests![
    rules_are_enforced_by_landlock_alone,
    inner_domain_cannot_reach_the_outer_one,
    self_tests_tell_standing_walls_from_claimed_ones,
    missing_trees_are_named,
];

/// Whether this kernel has the ABI that a test needs; says so if not.
fn has_abi(needed: u32) -> bool {
    let abi = landlock::abi();
    if abi < needed {
        println!("skipped: Landlock ABI {needed} is needed, this kernel has {abi}");
    }
    abi >= needed
}

fn errno<T>(result: std::io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().unwrap_or(0))
}

/// Runs in a process of its own, in the directory of the test.
pub fn reach_files(arguments: &[&str]) {
    let outside = Path::new(arguments[0]);
    tell("read-in-read", errno(fs::read("r/f")));
    tell("write-in-read", errno(fs::write("r/f", "x")));
    tell("create-in-read", errno(fs::write("r/new", "x")));
    tell("truncate-in-read", truncate("r/f"));
    tell("execute-in-read", errno(runs("r/program")));
    tell("write-in-write", errno(fs::write("w/f", "x")));
    tell("truncate-in-write", truncate("w/f"));
    tell("move-in-write", errno(fs::rename("w/f", "w/d/f")));
    tell("socket-in-write", errno(UnixDatagram::bind("w/s")));
    tell("move-out-of-write", errno(fs::rename("w/g", "r/g")));
    tell("read-outside", errno(fs::read(outside.join("f"))));
    tell("write-outside", errno(fs::write(outside.join("f"), "x")));
    tell("list-outside", errno(fs::read_dir(outside)));
    tell("remove-outside", errno(fs::remove_file(outside.join("gone"))));
    tell("make-outside", errno(fs::create_dir(outside.join("made"))));
    let address = SocketAddr::from_abstract_name(arguments[1]).unwrap();
    tell(
        "abstract-outside",
        errno(UnixDatagram::unbound().unwrap().connect_addr(&address)),
    );
    tell("signal-outside", signal(std::os::unix::process::parent_id()));
}

/// By path: opening for writing would be another right.
fn truncate(path: &str) -> Result<(), i32> {
    let path = std::ffi::CString::new(path).unwrap();
    errno(sys::truncate(&path))
}

fn runs(program: &str) -> std::io::Result<()> {
    // /dev/null is outside: no descriptor may be opened there.
    let output = helper::without_task(program)
        .arg("--list")
        .stdin(Stdio::inherit())
        .output()?;
    assert!(output.status.success());
    Ok(())
}

fn signal(process: u32) -> Result<(), i32> {
    sys::raw(libc::SYS_kill, [process.into(), 0, 0, 0, 0, 0]).map(drop)
}

/// Readable stays readable, writable stays writable, the rest is closed; all of it is open
/// without the wall.
fn rules_are_enforced_by_landlock_alone() {
    if !has_abi(2) {
        return;
    }
    let expected_refusals = [
        ("write-in-read", EACCES),
        ("create-in-read", EACCES),
        ("truncate-in-read", EACCES),
        ("move-out-of-write", EACCES),
        ("read-outside", EACCES),
        ("write-outside", EACCES),
        ("list-outside", EACCES),
        ("remove-outside", EACCES),
        ("make-outside", EACCES),
    ];
    let scoped = [("abstract-outside", EPERM), ("signal-outside", EPERM)];
    let allowed = [
        "read-in-read",
        "execute-in-read",
        "write-in-write",
        "truncate-in-write",
        "move-in-write",
        "socket-in-write",
    ];
    for confined in [false, true] {
        let place = Place::new();
        let name = format!("stockade-test-{}-{confined}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixDatagram::bind_addr(&address).unwrap();
        let outside = place.outside.path().to_str().unwrap().to_owned();
        let wall = Wall::Landlock {
            read: place.inside("r"),
            write: place.inside("w"),
        };
        let walls = if confined {
            vec![Wall::NoNewPrivs, wall]
        } else {
            vec![Wall::NoNewPrivs]
        };
        let mut command = command("reach-files", &walls, &[&outside, &name]);
        command.current_dir(place.inside.path());
        let seen = run_ok(command);
        for name in allowed {
            assert_eq!(value(&seen, name), "ok", "{name}, confined: {confined}");
        }
        let scopes = scoped.iter().filter(|_| landlock::abi() >= 6);
        for (name, errno) in expected_refusals.iter().chain(scopes) {
            let expected = if confined {
                errno.to_string()
            } else {
                "ok".to_owned()
            };
            assert_eq!(value(&seen, name), expected, "{name}, confined: {confined}");
        }
    }
}

/// A directory with a readable and a writable tree, and another one outside.
struct Place {
    inside: tempfile::TempDir,
    outside: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            inside: tempfile::tempdir().unwrap(),
            outside: tempfile::tempdir().unwrap(),
        };
        for directory in ["r", "w", "w/d"] {
            fs::create_dir(place.inside(directory)).unwrap();
        }
        for file in ["r/f", "w/g"] {
            fs::write(place.inside(file), "x").unwrap();
        }
        for file in ["f", "gone"] {
            fs::write(place.outside.path().join(file), "x").unwrap();
        }
        // Statically linked: it needs nothing from outside.
        fs::copy(std::env::current_exe().unwrap(), place.inside("r/program")).unwrap();
        place
    }

    fn inside(&self, name: &str) -> std::path::PathBuf {
        self.inside.path().join(name)
    }
}

/// Runs in a process of its own: what a workload would try on its guest.
pub fn reach_parent() {
    let parent = std::os::unix::process::parent_id();
    tell("signal", signal(parent));
    tell("environ", errno(fs::read(format!("/proc/{parent}/environ"))));
    tell("memory", errno(fs::File::open(format!("/proc/{parent}/mem"))));
    tell(
        "descriptors",
        errno(fs::read_link(format!("/proc/{parent}/fd/2"))),
    );
    tell("root", errno(fs::read_dir(format!("/proc/{parent}/root/"))));
    const PTRACE_SEIZE: u64 = 0x4206;
    tell(
        "trace",
        sys::raw(libc::SYS_ptrace, [PTRACE_SEIZE, parent.into(), 0, 0, 0, 0]),
    );
    tell("own-files", errno(fs::read("/proc/self/environ")));
    tell("other-files", errno(fs::read("/etc/passwd")));
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("d")).unwrap();
    fs::write(place.path().join("f"), "x").unwrap();
    tell(
        "renames",
        errno(fs::rename(place.path().join("f"), place.path().join("d/f"))),
    );
}

/// Runs in a process of its own: starts a child that tries to reach it.
pub fn spawn_reaching(arguments: &[&str]) {
    let walls: &[Wall] = match arguments[0] {
        "scope" => &[Wall::Nested],
        "without-scope" => &[Wall::NestedWithoutScope],
        _ => &[],
    };
    assert!(command("reach-parent", walls, &[]).status().unwrap().success());
}

/// A workload in the inner domain cannot reach the guest in the outer one; in the same
/// domain it can.
fn inner_domain_cannot_reach_the_outer_one() {
    if !has_abi(2) {
        return;
    }
    let everything = Wall::Landlock {
        read: "/".into(),
        write: "/".into(),
    };
    let mut outer = vec![Wall::NoNewPrivs, everything];
    if rustix::process::geteuid().is_root() {
        // CAP_PERFMON reads any environment.
        outer.push(Wall::DropCapabilities);
    }
    let same = run_ok(command("spawn", &outer, &["same"]));
    let mut ways = vec![(
        "without-scope",
        vec!["memory", "descriptors", "root", "trace", "environ"],
    )];
    if landlock::nested_signal_scope() {
        ways.push((
            "scope",
            vec!["memory", "descriptors", "root", "trace", "environ", "signal"],
        ));
    }
    for (way, refused) in ways {
        let inner = run_ok(command("spawn", &outer, &[way]));
        for name in refused {
            assert_eq!(value(&same, name), "ok", "{name} in the same domain");
            let refusals = [EPERM, EACCES].map(|errno| errno.to_string());
            let found = value(&inner, name).to_owned();
            assert!(refusals.contains(&found), "{name}, {way}: {found}");
        }
        for name in ["own-files", "other-files", "renames"] {
            assert_eq!(value(&inner, name), "ok", "{name} stays possible, {way}");
        }
    }
}

/// Runs in a process of its own: the self-tests before and after the walls of the test.
pub fn self_tests(walls: impl Iterator<Item = Wall>) {
    let landlock_before = landlock::before(Path::new("/etc/passwd")).unwrap();
    let seccomp_before = stockade_linux::seccomp::before();
    walls.for_each(|wall| wall.raise());
    let claimed = Entered {
        abi: landlock::abi(),
        scoped: landlock::abi() >= 6,
    };
    match landlock::after(&landlock_before, &claimed) {
        Ok(seen) => eprintln!("landlock ok {}", seen.join("; ")),
        Err(error) => eprintln!("landlock refused {error}"),
    }
    match stockade_linux::seccomp::after(&seccomp_before) {
        Ok(seen) => eprintln!("seccomp ok {}", seen.join("; ")),
        Err(error) => eprintln!("seccomp refused {error}"),
    }
}

/// The self-tests attest walls that stand, and only those.
fn self_tests_tell_standing_walls_from_claimed_ones() {
    if !has_abi(2) {
        return;
    }
    let landlock = || Wall::Landlock {
        read: "/proc".into(),
        write: "/tmp".into(),
    };
    let cases = [
        (vec![], "refused", "refused"),
        (vec![Wall::NoNewPrivs, landlock()], "ok", "refused"),
        (vec![Wall::NoNewPrivs, Wall::Seccomp], "refused", "ok"),
        (vec![Wall::NoNewPrivs, landlock(), Wall::Seccomp], "ok", "ok"),
    ];
    for (walls, landlock, seccomp) in cases {
        let seen = run_ok(command("self-tests", &walls, &[]));
        assert!(
            value(&seen, "landlock").starts_with(landlock),
            "{walls:?}: {seen:?}"
        );
        assert!(
            value(&seen, "seccomp").starts_with(seccomp),
            "{walls:?}: {seen:?}"
        );
    }
}

/// A rule for what does not exist is an error that names it, not a rule less.
fn missing_trees_are_named() {
    if !has_abi(2) {
        return;
    }
    let rules = Rules {
        read: vec!["/no/such/tree".into()],
        ..Rules::default()
    };
    let error = landlock::enter(&rules).unwrap_err().to_string();
    assert!(error.contains("/no/such/tree"), "{error}");
}
