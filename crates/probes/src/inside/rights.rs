//! What this process may do, asked of the kernel itself: `/proc` is not everywhere.

use std::fs;
use std::io::Write;

use super::nested;
use super::out::{argument, give_up, note, reached, result, succeeded};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("PV02", root_of_the_host),
    ("PV03", capabilities),
    ("PV04", new_privileges),
    ("PV08", groups),
    ("PV10", more_capabilities),
    ("PV11", filter),
];

/// Of the newest form of capget and capset: three sets of two words.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// More than any kernel has.
const CAPABILITIES: std::ops::Range<i64> = 0..64;

/// `prctl` with up to four arguments.
fn control(what: i32, arguments: [i64; 4]) -> std::io::Result<i64> {
    let [a, b, c, d] = arguments.map(Arg::Int);
    call(libc::SYS_prctl, &mut [Arg::Int(i64::from(what)), a, b, c, d])
}

/// Asks the same of this thread, another thread and a child.
fn everywhere(ask: fn(&str)) {
    ask("the program");
    if std::thread::spawn(move || ask("a thread")).join().is_err() {
        give_up("no thread could be started");
    }
    let child = sys::fork(|| {
        ask("a child");
        // The child leaves without flushing.
        let _ = std::io::stdout().flush();
    });
    match child {
        Ok(child) if sys::wait(child).is_ok_and(|status| status == 0) => {}
        other => give_up(format!("a child: {other:?}")),
    }
}

/// A file that only the host's root can read is the judge of whose root this is.
fn root_of_the_host(arguments: &[String]) {
    note(format!(
        "setuid 0: {:?}",
        call(libc::SYS_setuid, &mut [Arg::Int(0)])
    ));
    note(format!("user id {:?}", call(libc::SYS_geteuid, &mut [])));
    match fs::read_to_string("/proc/self/uid_map") {
        Ok(map) => note(format!("ids: {}", map.trim())),
        Err(error) => note(format!("ids: {error}")),
    }
    result("what only root may read", fs::read(argument(arguments, 0)));
}

/// Capability sets that are not empty. Of the bounding set only where executing could give what it has.
fn capabilities(_: &[String]) {
    let mut header = [0_u8; 8];
    header[..4].copy_from_slice(&CAPABILITY_VERSION.to_ne_bytes());
    let mut sets = [0_u8; 24];
    let asked = call(
        libc::SYS_capget,
        &mut [Arg::Bytes(&mut header), Arg::Bytes(&mut sets)],
    );
    if let Err(error) = asked {
        give_up(format!("capget: {error}"));
    }
    for (at, name) in ["effective", "permitted", "inheritable"].iter().enumerate() {
        let halves = [&sets[12 + 4 * at..16 + 4 * at], &sets[4 * at..4 * at + 4]];
        if halves.iter().any(|half| half.iter().any(|byte| *byte != 0)) {
            reached(format!("{name} capabilities {halves:02x?}"));
        }
    }
    let set = |what: i32, arguments: fn(i64) -> [i64; 4]| -> Vec<i64> {
        CAPABILITIES
            .filter(|capability| control(what, arguments(*capability)).is_ok_and(|found| found == 1))
            .collect()
    };
    let ambient = set(libc::PR_CAP_AMBIENT, |capability| {
        [i64::from(libc::PR_CAP_AMBIENT_IS_SET), capability, 0, 0]
    });
    if !ambient.is_empty() {
        reached(format!("ambient capabilities {ambient:?}"));
    }
    let bounding = set(libc::PR_CAPBSET_READ, |capability| [capability, 0, 0, 0]);
    let gains_nothing = control(libc::PR_GET_NO_NEW_PRIVS, [0; 4]).is_ok_and(|set| set == 1);
    if !bounding.is_empty() && !gains_nothing {
        reached(format!("executing could give {bounding:?}"));
    }
}

/// Whether executing can give rights: of every thread that can be seen.
fn new_privileges(_: &[String]) {
    everywhere(|who| match control(libc::PR_GET_NO_NEW_PRIVS, [0; 4]) {
        Ok(1) => note(format!("{who} gains nothing by executing")),
        Ok(_) => reached(format!("{who} can gain rights by executing")),
        Err(error) => give_up(format!("{who}: {error}")),
    });
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        for thread in fs::read_dir(process.path().join("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            // Other kernels do not tell: that is no sign of anything.
            if status.lines().any(|line| line == "NoNewPrivs:\t0") {
                reached(format!("{} can gain rights", thread.path().display()));
            }
        }
    }
}

/// A file that only a group may read, which the launcher was in.
fn groups(arguments: &[String]) {
    let mut ids = [0_u8; 4 * 64];
    let count = call(libc::SYS_getgroups, &mut [Arg::Int(64), Arg::Bytes(&mut ids)]);
    let count = count
        .map(|count| usize::try_from(count).unwrap_or(0))
        .unwrap_or(0);
    note(format!("{count} groups: {:?}", &ids[..4 * count.min(64)]));
    result("what a group may read", fs::read(argument(arguments, 0)));
}

/// Every way to have more than one was given, or to keep it.
fn more_capabilities(_: &[String]) {
    const NO_SETUID_FIXUP: i64 = 1 << 2;
    const SYS_ADMIN: i64 = 21;
    let mut header = [0_u8; 8];
    header[..4].copy_from_slice(&CAPABILITY_VERSION.to_ne_bytes());
    // The kernel leaves out what it does not know.
    let mut sets = [0xff_u8; 24];
    succeeded(
        "all capabilities",
        &call(
            libc::SYS_capset,
            &mut [Arg::Bytes(&mut header), Arg::Bytes(&mut sets)],
        ),
    );
    succeeded(
        "secure bits",
        &control(libc::PR_SET_SECUREBITS, [NO_SETUID_FIXUP, 0, 0, 0]),
    );
    succeeded(
        "a capability over exec",
        &control(
            libc::PR_CAP_AMBIENT,
            [i64::from(libc::PR_CAP_AMBIENT_RAISE), SYS_ADMIN, 0, 0],
        ),
    );
    succeeded(
        "a change of the bounding set",
        &control(libc::PR_CAPBSET_DROP, [SYS_ADMIN, 0, 0, 0]),
    );
}

/// Whether a filter is in force, and one of the own can be added.
fn filter(_: &[String]) {
    const FILTERED: i64 = 2;
    everywhere(|who| match control(libc::PR_GET_SECCOMP, [0; 4]) {
        Ok(FILTERED) => note(format!("{who} has a filter")),
        Ok(mode) => reached(format!("{who} has no filter: mode {mode}")),
        Err(error) => give_up(format!("{who}: {error}")),
    });
    nested::try_filter();
}
