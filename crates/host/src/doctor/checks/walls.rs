//! Landlock, seccomp, and the mounts of a copy-on-write workspace.

use stockade_domain::target::HostFacts;
use stockade_linux::trial::Tried;

use super::{NATIVE, of_fact, of_try};
use crate::doctor::observed::{Observed, Seen};
use crate::doctor::{Check, Verdict};

const ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";
const LSM: &str = "/sys/kernel/security/lsm";
/// Landlock ABI below which renames across directories are refused.
const LANDLOCK_FLOOR: u32 = 2;

pub(super) fn checks(seen: &Observed, facts: &HostFacts) -> Vec<Check> {
    vec![
        landlock(seen, facts),
        seccomp(seen, facts),
        Check::new(
            "overlay",
            "overlay in a user namespace",
            of_try(
                &seen.overlay,
                "mounted, and written through",
                "make user and mount namespaces possible (above), with Linux 5.11 or newer and the module overlay",
            ),
            &[NATIVE, "workspace-copy-on-write"],
        ),
        idmapped_mounts(seen, facts),
    ]
}

fn landlock(seen: &Observed, facts: &HostFacts) -> Check {
    let fix = match seen.file(LSM) {
        Seen::Text(list) if !list.split(',').any(|one| one == "landlock") => {
            format!("boot with lsm=landlock,{list} on the kernel's command line")
        }
        _ => "use Linux 5.19 or newer with lsm=landlock,… on its command line".to_owned(),
    };
    let verdict = match facts.landlock_abi {
        0 => Verdict::missing("the kernel's Landlock is off or missing", fix),
        abi if abi < LANDLOCK_FLOOR => {
            Verdict::missing(format!("ABI {abi} refuses renames across directories"), fix)
        }
        abi => Verdict::ok(format!("ABI {abi}")),
    };
    Check::new("landlock", "Landlock", verdict, &[NATIVE, "second-wall"])
}

fn seccomp(seen: &Observed, facts: &HostFacts) -> Check {
    let found = match seen.file(ACTIONS) {
        Seen::Text(actions) if actions.split(' ').any(|one| one == "user_notif") => {
            "filters and notifications"
        }
        _ => "filters",
    };
    let verdict = of_fact(&facts.seccomp, found);
    Check::new("seccomp", "seccomp", verdict, &[NATIVE, "syscall-filter"])
}

fn idmapped_mounts(seen: &Observed, facts: &HostFacts) -> Check {
    let verdict = if facts.privileged {
        of_try(
            &seen.idmapped_mounts,
            "a mount of /usr was mapped",
            "use Linux 5.19 or newer and a file system that can be id-mapped, or run as an ordinary user",
        )
    } else if let Tried::Unknown { why } = &seen.idmapped_mounts {
        Verdict::unknown(why)
    } else {
        Verdict::unknown("only root can try it, and only runs of root need it")
    };
    Check::new(
        "idmapped-mounts",
        "id-mapped mounts",
        verdict,
        &["native as root"],
    )
}
