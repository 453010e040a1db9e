//! Calls of the system's administrator and of other processes, by what they would do.

use std::fs;
use std::os::fd::AsRawFd;

use super::out::{argument, note, number, reached, succeeded};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("KS09", replace_the_kernel),
    ("KS10", mount_by_pieces),
    ("KS13", weaken_memory),
    ("KS15", trace_a_neighbour),
    ("KS16", administer),
];

/// Says that a call was not refused: whatever else it answered, its door is open.
fn answered(name: &str, result: &std::io::Result<i64>) {
    match result {
        Ok(_) => reached(format!("{name} succeeded")),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            note(format!("{name}: {error}"));
        }
        Err(error) => reached(format!("{name} looked at its arguments: {error}")),
    }
}

/// Modules and kernels that are none: without the right they are not looked at.
fn replace_the_kernel(_: &[String]) {
    let file = fs::File::open("/dev/null");
    let nothing = file.as_ref().map_or(-1, |file| i64::from(file.as_raw_fd()));
    let empty = || Arg::Int(0);
    answered(
        "init_module",
        &call(libc::SYS_init_module, &mut [Arg::Null, empty(), Arg::Text("")]),
    );
    answered(
        "finit_module",
        &call(
            libc::SYS_finit_module,
            &mut [Arg::Int(nothing), Arg::Text(""), Arg::Int(-1)],
        ),
    );
    answered(
        "delete_module",
        &call(libc::SYS_delete_module, &mut [Arg::Null, empty()]),
    );
    answered(
        "kexec_load",
        &call(
            libc::SYS_kexec_load,
            &mut [empty(), Arg::Int(99), Arg::Null, Arg::Int(0xffff)],
        ),
    );
    answered(
        "kexec_file_load",
        &call(
            libc::SYS_kexec_file_load,
            &mut [
                Arg::Int(nothing),
                Arg::Int(-1),
                empty(),
                Arg::Null,
                Arg::Int(0xffff),
            ],
        ),
    );
}

/// A file system made by the new calls, piece by piece, and put over a directory of the own.
fn mount_by_pieces(_: &[String]) {
    const CREATE: i64 = 6;
    const EMPTY_PATH: i64 = 4;
    let here = i64::from(libc::AT_FDCWD);
    let at = format!("pieces-{}", std::process::id());
    let _ = fs::create_dir(&at);
    let context = call(libc::SYS_fsopen, &mut [Arg::Text("tmpfs"), Arg::Int(1)]);
    succeeded("fsopen", &context);
    let context = context.ok().and_then(sys::own);
    let context = context.as_ref().map_or(-1, |file| i64::from(file.as_raw_fd()));
    let mut create = [
        Arg::Int(context),
        Arg::Int(CREATE),
        Arg::Null,
        Arg::Null,
        Arg::Int(0),
    ];
    succeeded("fsconfig", &call(libc::SYS_fsconfig, &mut create));
    let made = call(
        libc::SYS_fsmount,
        &mut [Arg::Int(context), Arg::Int(1), Arg::Int(0)],
    );
    succeeded("fsmount", &made);
    let clone = i64::from(libc::OPEN_TREE_CLONE);
    let tree = call(
        libc::SYS_open_tree,
        &mut [Arg::Int(here), Arg::Text("."), Arg::Int(clone)],
    );
    succeeded("open_tree", &tree);
    for (name, mount) in [("file system", made), ("tree", tree)] {
        let mount = mount.ok().and_then(sys::own);
        let mount = mount.as_ref().map_or(-1, |file| i64::from(file.as_raw_fd()));
        let mut arguments = [
            Arg::Int(mount),
            Arg::Text(""),
            Arg::Int(here),
            Arg::Text(&at),
            Arg::Int(EMPTY_PATH),
        ];
        let moved = call(libc::SYS_move_mount, &mut arguments);
        succeeded(format!("a {name} over a directory"), &moved);
        if moved.is_ok() {
            let detach = i64::from(libc::MNT_DETACH);
            let _ = call(libc::SYS_umount2, &mut [Arg::Text(&at), Arg::Int(detach)]);
        }
    }
    let _ = fs::remove_dir(&at);
}

/// What makes memory predictable, or all of it executable.
fn weaken_memory(_: &[String]) {
    const ASK: i64 = 0xffff_ffff;
    for (name, bit) in [
        ("addresses that are not random", libc::ADDR_NO_RANDOMIZE),
        ("memory that can be executed", libc::READ_IMPLIES_EXEC),
        ("a page at address nought", libc::MMAP_PAGE_ZERO),
    ] {
        let bit = i64::from(bit);
        let set = call(libc::SYS_personality, &mut [Arg::Int(bit)]);
        let now = call(libc::SYS_personality, &mut [Arg::Int(ASK)]);
        match now {
            Ok(now) if now & bit != 0 => reached(name),
            other => note(format!("{name}: {set:?}, {other:?}")),
        }
    }
}

/// A process whose id lies in a file: of another command of this sandbox.
fn trace_a_neighbour(arguments: &[String]) {
    const SEIZE: i64 = 0x4206;
    let Ok(text) = fs::read_to_string(argument(arguments, 0)) else {
        super::out::give_up("nobody to trace");
    };
    let pid = number(&[text.trim().to_owned()], 0);
    note(format!("the neighbour is {pid}"));
    let zero = || Arg::Int(0);
    let mut seize = [Arg::Int(SEIZE), Arg::Int(pid), zero(), zero()];
    succeeded("trace", &call(libc::SYS_ptrace, &mut seize));
    // Nothing lies at that address: who gets so far was not refused.
    let mut buffer = [0_u8; 16];
    let mut local = sys::vector(buffer.as_mut_ptr() as u64, buffer.len());
    let mut remote = sys::vector(16, buffer.len());
    let mut read = [
        Arg::Int(pid),
        Arg::Bytes(&mut local),
        Arg::Int(1),
        Arg::Bytes(&mut remote),
        Arg::Int(1),
        zero(),
    ];
    match call(libc::SYS_process_vm_readv, &mut read) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => reached("its memory"),
        other => note(format!("its memory: {other:?}")),
    }
    succeeded(
        "a signal",
        &call(libc::SYS_kill, &mut [Arg::Int(pid), Arg::Int(0)]),
    );
}

/// Quotas, swap, accounting and handles, of things that are not there or ours.
fn administer(_: &[String]) {
    let own = format!("own-{}", std::process::id());
    let _ = fs::write(&own, vec![0_u8; 1 << 16]);
    let missing = format!("{own}/missing");
    answered(
        "quotactl",
        &call(
            libc::SYS_quotactl,
            &mut [Arg::Int(0x80_0001), Arg::Null, Arg::Int(0), Arg::Null],
        ),
    );
    // It holds no swap space.
    answered(
        "swapon",
        &call(libc::SYS_swapon, &mut [Arg::Text(&own), Arg::Int(0)]),
    );
    answered("acct", &call(libc::SYS_acct, &mut [Arg::Text(&missing)]));
    let mut name = [0_u8; 256];
    answered(
        "lookup_dcookie",
        &call(
            libc::SYS_lookup_dcookie,
            &mut [Arg::Int(-1), Arg::Bytes(&mut name), Arg::Int(256)],
        ),
    );
    // struct file_handle: its size first.
    let mut handle = [0_u8; 8 + 128];
    handle[..4].copy_from_slice(&128_u32.to_ne_bytes());
    let mut mount = [0_u8; 8];
    let mut ask = [
        Arg::Int(i64::from(libc::AT_FDCWD)),
        Arg::Text(&own),
        Arg::Bytes(&mut handle),
        Arg::Bytes(&mut mount),
        Arg::Int(0),
    ];
    answered("name_to_handle_at", &call(libc::SYS_name_to_handle_at, &mut ask));
    let _ = fs::remove_file(&own);
}
