//! Virtual machines, and memory that the host cannot read.

use stockade_linux::trial::kvm::Kvm;

use crate::doctor::observed::{Observed, Seen};
use crate::doctor::{Check, Verdict};

/// Switches of the kernel's modules, with what each stands for.
pub(in crate::doctor) const ENCRYPTION: [(&str, &str); 4] = [
    ("/sys/module/kvm_amd/parameters/sev", "AMD SEV"),
    ("/sys/module/kvm_amd/parameters/sev_es", "AMD SEV-ES"),
    ("/sys/module/kvm_amd/parameters/sev_snp", "AMD SEV-SNP"),
    ("/sys/module/kvm_intel/parameters/tdx", "Intel TDX"),
];

/// What such a switch says.
pub(in crate::doctor) fn is_on(value: &str) -> bool {
    matches!(value, "1" | "Y" | "y")
}

pub(super) fn checks(seen: &Observed) -> Vec<Check> {
    vec![
        Check::new("kvm", "KVM (a guest was run)", kvm(seen), &[]),
        Check::new(
            "memory-encryption",
            "encrypted guest memory",
            encryption(seen),
            &[],
        ),
    ]
}

fn kvm(seen: &Observed) -> Verdict {
    match &seen.kvm {
        Kvm::Hardware { rounds_per_second } => {
            Verdict::ok(format!("on the processor, {}", speed(*rounds_per_second)))
        }
        Kvm::Emulated { rounds_per_second } => Verdict::impossible(format!(
            "guests are interpreted, {}: ordinary ones would seem to hang",
            speed(*rounds_per_second)
        )),
        Kvm::Broken { why } => Verdict::impossible(format!("/dev/kvm is there, but no guest runs: {why}")),
        Kvm::Denied { cause } => Verdict::missing(
            format!("/dev/kvm: {cause}"),
            "sudo usermod -aG kvm $USER, then log in again (if /dev/kvm belongs to the group kvm)",
        ),
        Kvm::None if has_flag(seen, "vmx") || has_flag(seen, "svm") => Verdict::missing(
            "there is no /dev/kvm, though the processor can",
            "sudo modprobe -a kvm_intel kvm_amd",
        ),
        Kvm::None if has_flag(seen, "hypervisor") => Verdict::impossible(
            "there is no /dev/kvm: this is a virtual machine itself, without nested virtualisation",
        ),
        Kvm::None => Verdict::missing(
            "there is no /dev/kvm, and the processor does not show that it can",
            "turn virtualisation on in the firmware, if there is such a switch",
        ),
        Kvm::Unknown { why } => Verdict::unknown(why),
    }
}

fn speed(rounds_per_second: u64) -> String {
    match rounds_per_second {
        0..1_000_000 => format!("{} thousand rounds a second", rounds_per_second / 1_000),
        _ => format!("{} million rounds a second", rounds_per_second / 1_000_000),
    }
}

fn has_flag(seen: &Observed, flag: &str) -> bool {
    seen.cpu_flags.contains(flag)
}

fn encryption(seen: &Observed) -> Verdict {
    let mut on = Vec::new();
    let mut unread = Vec::new();
    for (path, name) in ENCRYPTION {
        match seen.file(path) {
            Seen::Text(value) if is_on(value.as_str()) => on.push(name),
            Seen::Text(_) | Seen::Absent => {}
            Seen::Unreadable(why) => unread.push(format!("{path}: {why}")),
        }
    }
    if !on.is_empty() {
        return Verdict::ok(format!("{} for guests of this host", on.join(", ")));
    }
    if !unread.is_empty() {
        return Verdict::unknown(unread.join("; "));
    }
    if has_flag(seen, "tdx_guest") || has_flag(seen, "sev_snp") && has_flag(seen, "hypervisor") {
        return Verdict::impossible("this host is such a guest itself, and can make none");
    }
    Verdict::impossible("the kernel offers neither AMD SEV nor Intel TDX")
}
