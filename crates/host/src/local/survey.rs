//! The facts that decide what drivers on this host's own kernel can enforce. Cheap: a run
//! pays for it each time, because a fact that was true at the last boot proves nothing.

use std::fs;

use stockade_domain::target::{Fact, Facts, HostFacts, Target};
use stockade_linux::cgroup::CgroupSurvey;
use stockade_linux::landlock;

/// Surveys this host.
pub(crate) fn survey(cgroups: &CgroupSurvey) -> Target {
    let kernel = kernel_version();
    let euid = rustix::process::geteuid().as_raw();
    let privileged = privileged();
    let facts = HostFacts {
        kernel,
        euid,
        privileged,
        user_namespaces: user_namespaces(privileged),
        landlock_abi: landlock::abi(),
        seccomp: seccomp(),
        told_starts: stockade_linux::seccomp::can_tell_starts(),
        overlay: since(kernel, (5, 11), "overlay in a user namespace"),
        idmapped_mounts: since(kernel, (5, 19), "overlay on id-mapped mounts"),
        memory_cgroup: cgroups.memory(),
        pids_cgroup: cgroups.pids(),
        cpu_cgroup: cgroups.cpu(),
        shared_cgroup: cgroups.together(),
        own_root: own_root(euid),
        static_program: static_program(),
        memory_bytes: memory_bytes(),
        cpus: processors(),
        online_cpus: online_processors().unwrap_or_else(processors),
    };
    Target {
        name: "this host".to_owned(),
        facts: Facts::Host(Box::new(facts)),
    }
}

fn since(kernel: (u32, u32), needed: (u32, u32), what: &str) -> Fact {
    if kernel >= needed {
        return Fact::Yes;
    }
    Fact::no(
        format!(
            "{what} needs Linux {}.{}, this is {}.{}",
            needed.0, needed.1, kernel.0, kernel.1
        ),
        "update the kernel",
    )
}

fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut parts = release
        .split(|character: char| !character.is_ascii_digit())
        .map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        // Unknown counts as oldest: every fact that depends on it is then refused.
        _ => (0, 0),
    }
}

/// CAP_SYS_ADMIN in the initial user namespace, where id maps cover everything.
pub(crate) fn privileged() -> bool {
    let effective = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let admin = effective.is_ok_and(|set| set.contains(rustix::thread::CapabilitySet::SYS_ADMIN));
    admin && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps_everything(&map))
}

fn maps_everything(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// What changing the root directory, taking other ids and making device nodes needs.
fn own_root(euid: u32) -> Fact {
    use rustix::thread::CapabilitySet as Set;
    const NEEDED: [(Set, &str); 9] = [
        (Set::SYS_CHROOT, "SYS_CHROOT"),
        (Set::SETUID, "SETUID"),
        (Set::SETGID, "SETGID"),
        (Set::SETPCAP, "SETPCAP"),
        (Set::CHOWN, "CHOWN"),
        (Set::DAC_OVERRIDE, "DAC_OVERRIDE"),
        (Set::FOWNER, "FOWNER"),
        (Set::KILL, "KILL"),
        (Set::MKNOD, "MKNOD"),
    ];
    if euid != 0 {
        return Fact::no(
            "only root can change the root directory",
            "run as root, or use driver native or landlock, which need no root",
        );
    }
    let effective = rustix::thread::capabilities(None).map_or(Set::empty(), |sets| sets.effective);
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(one, _)| !effective.contains(*one))
        .map(|(_, name)| *name)
        .collect();
    if !missing.is_empty() {
        return Fact::no(
            format!("root lacks the capabilities {}", missing.join(", ")),
            format!(
                "run outside of the container, or start it with --cap-add={}",
                missing.join(" --cap-add=")
            ),
        );
    }
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
    if maps
        .iter()
        .all(|map| fs::read_to_string(map).is_ok_and(|map| maps_sandboxes(&map)))
    {
        return Fact::Yes;
    }
    Fact::no(
        "this user namespace does not hold the ids that sandboxes use",
        "run as root of the host itself",
    )
}

/// One line of the map holds all ids that sandboxes can have.
fn maps_sandboxes(map: &str) -> bool {
    use stockade_linux::idmap::{FIRST_HOST_ID, RANGE, SLOTS};
    let (first, end) = (
        u64::from(FIRST_HOST_ID),
        u64::from(FIRST_HOST_ID) + u64::from(RANGE) * u64::from(SLOTS),
    );
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => {
                inside <= first && inside.saturating_add(count) >= end
            }
            _ => false,
        }
    })
}

fn user_namespaces(privileged: bool) -> Fact {
    if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Fact::no(
            "user namespaces are turned off (user.max_user_namespaces = 0)",
            "as root: sysctl user.max_user_namespaces=10000",
        );
    }
    if privileged {
        return Fact::Yes;
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Fact::no(
            "user namespaces are for root only (kernel.unprivileged_userns_clone = 0)",
            "as root: sysctl kernel.unprivileged_userns_clone=1",
        );
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) && !has_apparmor_profile()
    {
        return Fact::no(
            "AppArmor restricts user namespaces to programs with a profile",
            "install an AppArmor profile with `userns,` for this program, or as root: \
             sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    Fact::Yes
}

fn has_apparmor_profile() -> bool {
    fs::read_to_string("/proc/self/attr/apparmor/current")
        .is_ok_and(|profile| !profile.trim().is_empty() && !profile.starts_with("unconfined"))
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn seccomp() -> Fact {
    if std::path::Path::new("/proc/sys/kernel/seccomp").exists() {
        return Fact::Yes;
    }
    Fact::No {
        why: "the kernel has no seccomp filters".to_owned(),
        fix: None,
    }
}

fn static_program() -> Fact {
    if cfg!(target_feature = "crt-static") {
        return Fact::Yes;
    }
    Fact::no(
        "this program was built with a dynamic loader, which does not exist in an empty root",
        "build with the repository's .cargo/config.toml (cargo build in the repository, without RUSTFLAGS), \
         or set RUSTFLAGS='-C target-feature=+crt-static' with an explicit --target",
    )
}

fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

fn processors() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1))
}

/// Of the host, not of this process: a budget is for all.
fn online_processors() -> Option<u32> {
    parse_online(&fs::read_to_string("/sys/devices/system/cpu/online").ok()?)
}

/// Numbers and ranges, as `0-3,6`.
fn parse_online(text: &str) -> Option<u32> {
    let mut count = 0u32;
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_from_ranges() {
        assert_eq!(parse_online("0-3,6\n"), Some(5));
        assert_eq!(parse_online("0\n"), Some(1));
        assert_eq!(parse_online("3-1"), None);
        assert_eq!(parse_online(""), None);
    }

    #[test]
    fn only_the_initial_namespace_maps_everything() {
        assert!(maps_everything("         0          0 4294967295\n"));
        assert!(!maps_everything("         0       1000          1\n"));
    }

    #[test]
    fn a_container_with_few_ids_has_none_for_sandboxes() {
        assert!(maps_sandboxes("         0          0 4294967295\n"));
        assert!(!maps_sandboxes("0 100000 65536\n"));
        assert!(!maps_sandboxes(""));
    }

    #[test]
    fn an_old_kernel_is_named_with_what_it_lacks() {
        let fact = since((5, 10), (5, 11), "overlay in a user namespace");
        assert!(matches!(fact, Fact::No { why, .. } if why.contains("5.11") && why.contains("5.10")));
    }
}
