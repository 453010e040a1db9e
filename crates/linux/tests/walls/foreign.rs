//! Calls of the ABIs that x86-64 kernels serve besides the native one.

use std::os::unix::process::ExitStatusExt;

use crate::helper::{Wall, command, run, tell};
use crate::sys;

crate::tests![thirty_two_bit_gate_kills, x32_kills];

/// Runs in a process of its own: getpid by the 32-bit gate.
pub fn int80() {
    assert_eq!(sys::getpid_by_int80(), i64::from(std::process::id()));
}

/// Runs in a process of its own: getpid in the x32 ABI.
pub fn x32() {
    tell("x32", sys::raw(0x4000_0000 | libc::SYS_getpid, [0; 6]));
}

/// A call by the 32-bit gate kills the whole process; without the filter it works.
fn thirty_two_bit_gate_kills() {
    let (_, without) = run(command("int80", &[Wall::NoNewPrivs], &[]));
    if !without.status.success() {
        println!("skipped: this kernel has no 32-bit calls: {}", without.status);
        return;
    }
    for filter in [Wall::Seccomp, Wall::SeccompNesting] {
        let (_, with) = run(command("int80", &[Wall::NoNewPrivs, filter], &[]));
        assert_eq!(with.status.signal(), Some(libc::SIGSYS), "{with:?}");
    }
}

/// A number of the x32 ABI kills; without the filter it is just an unknown call or works.
fn x32_kills() {
    let (_, without) = run(command("x32", &[Wall::NoNewPrivs], &[]));
    assert!(without.status.success(), "{without:?}");
    let (_, with) = run(command("x32", &[Wall::NoNewPrivs, Wall::Seccomp], &[]));
    assert_eq!(with.status.signal(), Some(libc::SIGSYS), "{with:?}");
}
