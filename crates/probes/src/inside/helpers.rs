//! Roles that play the host: a process with secrets, and objects of IPC.

use std::fs::File;
use std::io::BufRead;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use super::out::{argument, number};
use super::sys::{self, Arg, call};

/// Holds a secret in its arguments, environment, memory and an open file. Answers each line
/// with its state, until its input ends.
pub fn victim(arguments: &[String]) -> ExitCode {
    const ANY_TRACER: i64 = -1;
    const IDLE: i64 = 3 << 13;
    let memory = argument(arguments, 0).as_bytes().to_vec();
    let file = File::open(argument(arguments, 1));
    let _ = call(
        libc::SYS_setpriority,
        &mut [Arg::Int(0), Arg::Int(0), Arg::Int(13)],
    );
    let _ = call(
        libc::SYS_ioprio_set,
        &mut [Arg::Int(1), Arg::Int(0), Arg::Int(IDLE)],
    );
    // Where the Yama module is on, only those that are named may trace.
    let tracer = i64::from(libc::PR_SET_PTRACER);
    let _ = call(
        libc::SYS_prctl,
        &mut [
            Arg::Int(tracer),
            Arg::Int(ANY_TRACER),
            Arg::Int(0),
            Arg::Int(0),
            Arg::Int(0),
        ],
    );
    let descriptor = file.as_ref().map_or(-1, |file| file.as_raw_fd());
    println!("ready {} {} {descriptor}", memory.as_ptr() as usize, memory.len());
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        let memory = String::from_utf8_lossy(std::hint::black_box(&memory)).into_owned();
        let nice = call(libc::SYS_getpriority, &mut [Arg::Int(0), Arg::Int(0)]).unwrap_or(0);
        let mut mask = [0_u8; 128];
        let _ = call(
            libc::SYS_sched_getaffinity,
            &mut [Arg::Int(0), Arg::Int(128), Arg::Bytes(&mut mask)],
        );
        let mut limit = [0_u8; 16];
        let core = i64::from(libc::RLIMIT_CORE);
        let _ = call(
            libc::SYS_prlimit64,
            &mut [Arg::Int(0), Arg::Int(core), Arg::Null, Arg::Bytes(&mut limit)],
        );
        println!("memory {memory} nice {nice} mask {:?} core {limit:?}", &mask[..8]);
    }
    ExitCode::SUCCESS
}

/// Objects of System V and POSIX IPC with one key, removed when its input ends. The message
/// is the secret of its environment.
pub fn ipc(arguments: &[String]) -> ExitCode {
    let key = number(arguments, 0);
    let secret = std::env::var("VICTIM_SECRET").unwrap_or_default();
    let create = i64::from(libc::IPC_CREAT) | 0o666;
    let memory = call(
        libc::SYS_shmget,
        &mut [Arg::Int(key), Arg::Int(4096), Arg::Int(create)],
    );
    let semaphore = call(
        libc::SYS_semget,
        &mut [Arg::Int(key), Arg::Int(1), Arg::Int(create)],
    );
    let queue = call(libc::SYS_msgget, &mut [Arg::Int(key), Arg::Int(create)]);
    let mut message = [0_u8; 8 + 64];
    message[0] = 1;
    let length = secret.len().min(64);
    message[8..8 + length].copy_from_slice(&secret.as_bytes()[..length]);
    if let Ok(queue) = &queue {
        for _ in 0..8 {
            let mut send = [
                Arg::Int(*queue),
                Arg::Bytes(&mut message),
                Arg::Int(64),
                Arg::Int(0),
            ];
            let _ = call(libc::SYS_msgsnd, &mut send);
        }
    }
    let named = format!("stockade-{key}");
    queue_by_name(&named, &message[8..]);
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        println!("here");
    }
    let _ = call(libc::SYS_mq_unlink, &mut [Arg::Text(&named)]);
    let remove = i64::from(libc::IPC_RMID);
    let _ = memory.map(|id| call(libc::SYS_shmctl, &mut [Arg::Int(id), Arg::Int(remove), Arg::Null]));
    let _ = semaphore.map(|id| {
        call(
            libc::SYS_semctl,
            &mut [Arg::Int(id), Arg::Int(0), Arg::Int(remove), Arg::Null],
        )
    });
    let _ = queue.map(|id| call(libc::SYS_msgctl, &mut [Arg::Int(id), Arg::Int(remove), Arg::Null]));
    let _ = sys::duplicate(-1);
    ExitCode::SUCCESS
}

/// A POSIX queue with the message in it.
fn queue_by_name(name: &str, message: &[u8]) {
    // struct mq_attr: flags, messages, bytes of one.
    let mut attributes = [0_u8; 64];
    attributes[8..16].copy_from_slice(&8_i64.to_ne_bytes());
    attributes[16..24].copy_from_slice(&64_i64.to_ne_bytes());
    let flags = i64::from(libc::O_RDWR | libc::O_CREAT);
    let made = call(
        libc::SYS_mq_open,
        &mut [
            Arg::Text(name),
            Arg::Int(flags),
            Arg::Int(0o600),
            Arg::Bytes(&mut attributes),
        ],
    );
    let Some(queue) = made.ok().and_then(sys::own) else {
        return;
    };
    let mut message = message.to_vec();
    let length = i64::try_from(message.len()).unwrap_or(0);
    let mut send = [
        Arg::Int(i64::from(queue.as_raw_fd())),
        Arg::Bytes(&mut message),
        Arg::Int(length),
        Arg::Int(0),
        Arg::Null,
    ];
    let _ = call(libc::SYS_mq_timedsend, &mut send);
}

/// Writes its process id to a file and stays for a while, where everybody may trace it.
pub fn linger(arguments: &[String]) -> ExitCode {
    const ANY_TRACER: i64 = -1;
    let tracer = i64::from(libc::PR_SET_PTRACER);
    let zero = || Arg::Int(0);
    let mut allow = [Arg::Int(tracer), Arg::Int(ANY_TRACER), zero(), zero(), zero()];
    let _ = call(libc::SYS_prctl, &mut allow);
    if let Err(error) = std::fs::write(argument(arguments, 0), std::process::id().to_string()) {
        eprintln!("attack linger: {error}");
        return ExitCode::FAILURE;
    }
    let seconds = u64::try_from(number(arguments, 1)).unwrap_or(0);
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    ExitCode::SUCCESS
}
