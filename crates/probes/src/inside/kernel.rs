//! Parts of the kernel that an agent does not need and attackers like.

use std::os::fd::AsRawFd;

use super::out::{argument, note, reached, result, succeeded};
use super::sys::{self, Arg, bytes_of, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("KS02", foreign_gates),
    ("KS02-int80", int80),
    ("KS02-x32", x32),
    ("KS03", io_uring),
    ("KS04", bpf_map),
    ("KS05", perf_counter),
    ("KS06", user_faults),
    ("KS07", keys),
    ("KS08", watch_all),
    ("KS11", families),
    ("KS12", netlink_families),
    ("KS14", segments),
];

/// Each gate in a process of its own: the kernel may kill it there.
fn foreign_gates(arguments: &[String]) {
    let Ok(own) = std::env::current_exe() else {
        return note("no program of my own");
    };
    for gate in ["KS02-int80", "KS02-x32"] {
        let output = std::process::Command::new(&own)
            .arg(gate)
            .args(arguments)
            .output();
        match output {
            Ok(output) => {
                note(format!("{gate}: {}", output.status));
                if String::from_utf8_lossy(&output.stdout).contains(argument(arguments, 0)) {
                    reached(format!("{gate} wrote"));
                }
            }
            Err(error) => note(format!("{gate}: {error}")),
        }
    }
}

fn int80(arguments: &[String]) {
    note(format!("{:?}", sys::write_by_int80(argument(arguments, 0))));
}

fn x32(arguments: &[String]) {
    const X32: i64 = 0x4000_0000;
    let text = argument(arguments, 0);
    let length = i64::try_from(text.len()).unwrap_or(0);
    note(format!(
        "{:?}",
        call(
            X32 | libc::SYS_write,
            &mut [Arg::Int(1), Arg::Text(text), Arg::Int(length)]
        )
    ));
}

fn io_uring(_: &[String]) {
    // struct io_uring_params
    let mut parameters = [0_u8; 120];
    let made = call(
        libc::SYS_io_uring_setup,
        &mut [Arg::Int(4), Arg::Bytes(&mut parameters)],
    );
    succeeded("io_uring_setup", &made);
    if let Some(ring) = made.ok().and_then(sys::own) {
        const REGISTER_PROBE: i64 = 8;
        let mut probe = [0_u8; 16 + 256 * 8];
        let ring = i64::from(ring.as_raw_fd());
        let mut arguments = [
            Arg::Int(ring),
            Arg::Int(REGISTER_PROBE),
            Arg::Bytes(&mut probe),
            Arg::Int(256),
        ];
        succeeded(
            "io_uring probe",
            &call(libc::SYS_io_uring_register, &mut arguments),
        );
    }
}

fn bpf_map(_: &[String]) {
    // union bpf_attr of BPF_MAP_CREATE: an array of one element of eight bytes.
    let mut attributes = [0_u8; 128];
    for (at, value) in [(0, 2_u32), (4, 4), (8, 8), (12, 1)] {
        attributes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    let made = call(
        libc::SYS_bpf,
        &mut [Arg::Int(0), Arg::Bytes(&mut attributes), Arg::Int(72)],
    );
    succeeded("bpf map", &made);
    drop(made.ok().and_then(sys::own));
}

fn perf_counter(_: &[String]) {
    // struct perf_event_attr: a software clock, kernel and hypervisor left out.
    let mut attributes = [0_u8; 128];
    attributes[..4].copy_from_slice(&1_u32.to_ne_bytes());
    attributes[4..8].copy_from_slice(&112_u32.to_ne_bytes());
    attributes[8..16].copy_from_slice(&1_u64.to_ne_bytes());
    attributes[40..48].copy_from_slice(&0b110_0000_u64.to_ne_bytes());
    let mut arguments = [
        Arg::Bytes(&mut attributes),
        Arg::Int(0),
        Arg::Int(-1),
        Arg::Int(-1),
        Arg::Int(0),
    ];
    let made = call(libc::SYS_perf_event_open, &mut arguments);
    succeeded("perf_event_open", &made);
    drop(made.ok().and_then(sys::own));
}

fn user_faults(_: &[String]) {
    const USER_MODE_ONLY: i64 = 1;
    for flags in [0, USER_MODE_ONLY] {
        let made = call(
            libc::SYS_userfaultfd,
            &mut [Arg::Int(flags | i64::from(libc::O_CLOEXEC))],
        );
        succeeded("userfaultfd", &made);
        drop(made.ok().and_then(sys::own));
    }
    succeeded("/dev/userfaultfd", &std::fs::File::open("/dev/userfaultfd"));
}

/// Looks for a key of the launcher's session.
fn keys(arguments: &[String]) {
    const SEARCH: i64 = 10;
    const READ: i64 = 11;
    const SESSION: i64 = -3;
    const USER: i64 = -4;
    for ring in [SESSION, USER] {
        let name = argument(arguments, 0);
        let mut search = [
            Arg::Int(SEARCH),
            Arg::Int(ring),
            Arg::Text("user"),
            Arg::Text(name),
            Arg::Int(0),
        ];
        match call(libc::SYS_keyctl, &mut search) {
            Ok(key) => {
                let mut content = vec![0_u8; 256];
                let mut read = [
                    Arg::Int(READ),
                    Arg::Int(key),
                    Arg::Bytes(&mut content),
                    Arg::Int(256),
                ];
                let length =
                    call(libc::SYS_keyctl, &mut read).map(|length| usize::try_from(length).unwrap_or(0));
                result("key", length.map(|length| content[..length.min(256)].to_vec()));
            }
            Err(error) => note(format!("keyctl: {error}")),
        }
    }
    let mut add = [
        Arg::Text("user"),
        Arg::Text("left"),
        Arg::Text("x"),
        Arg::Int(1),
        Arg::Int(-4),
    ];
    succeeded("add_key", &call(libc::SYS_add_key, &mut add));
    note(argument(arguments, 1));
}

fn watch_all(_: &[String]) {
    let made = call(libc::SYS_fanotify_init, &mut [Arg::Int(0), Arg::Int(0)]);
    succeeded("fanotify_init", &made);
    drop(made.ok().and_then(sys::own));
}

/// Socket families beyond unix, internet and netlink.
fn families(_: &[String]) {
    const FAMILIES: [(&str, i32); 12] = [
        ("AF_VSOCK", libc::AF_VSOCK),
        ("AF_ALG", libc::AF_ALG),
        ("AF_PACKET", libc::AF_PACKET),
        ("AF_XDP", libc::AF_XDP),
        ("AF_TIPC", libc::AF_TIPC),
        ("AF_CAN", libc::AF_CAN),
        ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
        ("AF_KCM", 41),
        ("AF_RDS", libc::AF_RDS),
        ("AF_SMC", 43),
        ("AF_QIPCRTR", 42),
        ("AF_KEY", libc::AF_KEY),
    ];
    for (name, family) in FAMILIES {
        for kind in [
            libc::SOCK_STREAM,
            libc::SOCK_DGRAM,
            libc::SOCK_RAW,
            libc::SOCK_SEQPACKET,
        ] {
            let mut arguments = [
                Arg::Int(i64::from(family)),
                Arg::Int(i64::from(kind)),
                Arg::Int(0),
            ];
            let made = call(libc::SYS_socket, &mut arguments);
            succeeded(format!("{name} {kind}"), &made);
            drop(made.ok().and_then(sys::own));
        }
    }
    for protocol in [libc::IPPROTO_ICMP, libc::IPPROTO_RAW, libc::IPPROTO_TCP] {
        let (family, kind) = (i64::from(libc::AF_INET), i64::from(libc::SOCK_RAW));
        let made = call(
            libc::SYS_socket,
            &mut [Arg::Int(family), Arg::Int(kind), Arg::Int(i64::from(protocol))],
        );
        succeeded(format!("raw IP protocol {protocol}"), &made);
        drop(made.ok().and_then(sys::own));
    }
}

/// Netlink families that speak about more than the own network.
fn netlink_families(_: &[String]) {
    for (name, protocol) in [
        ("audit", 9),
        ("uevent", 15),
        ("netfilter", 12),
        ("xfrm", 6),
        ("generic", 16),
        ("connector", 11),
    ] {
        let mut arguments = [
            Arg::Int(i64::from(libc::AF_NETLINK)),
            Arg::Int(3),
            Arg::Int(protocol),
        ];
        let made = call(libc::SYS_socket, &mut arguments);
        succeeded(format!("netlink {name}"), &made);
        drop(made.ok().and_then(sys::own));
    }
}

/// A segment in the local descriptor table, and ports.
#[cfg(target_arch = "x86_64")]
fn segments(_: &[String]) {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Descriptor {
        entry: u32,
        base: u32,
        limit: u32,
        flags: u32,
    }
    let mut descriptor = Descriptor {
        entry: 0,
        base: 0,
        limit: 0xfff,
        flags: 1,
    };
    let mut arguments = [Arg::Int(1), Arg::Bytes(bytes_of(&mut descriptor)), Arg::Int(16)];
    succeeded("modify_ldt", &call(libc::SYS_modify_ldt, &mut arguments));
    succeeded("iopl", &call(libc::SYS_iopl, &mut [Arg::Int(3)]));
    succeeded(
        "ioperm",
        &call(libc::SYS_ioperm, &mut [Arg::Int(0x80), Arg::Int(1), Arg::Int(1)]),
    );
}

/// Other machines have neither.
#[cfg(not(target_arch = "x86_64"))]
fn segments(_: &[String]) {
    let _ = bytes_of(&mut 0_u32);
    note("not on this machine");
}
