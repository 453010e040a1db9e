//! Where facts about this host come from: small files, and tries in processes of their own.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use stockade_linux::trial::{self, Tried};

use super::checks::{ENCRYPTION, is_on};
use super::observed::{CgroupLayout, Cgroups, Seen, System};
use crate::error::{Error, Result};

/// The word by which this program is started for a try.
pub const TRIAL: &str = "kernel-trial";

/// The tries, by the names under which this program is started for each.
pub const TRIALS: [&str; 4] = ["namespaces", "overlay", "idmapped-mount", "kvm"];

/// Files whose content is a fact.
pub(super) const FILES: [&str; 15] = [
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/self/attr/apparmor/current",
    "/proc/sys/kernel/seccomp/actions_avail",
    "/sys/kernel/security/lsm",
    "/sys/fs/selinux/enforce",
    "/sys/module/kvm_amd/parameters/sev",
    "/sys/module/kvm_amd/parameters/sev_es",
    "/sys/module/kvm_amd/parameters/sev_snp",
    "/sys/module/kvm_intel/parameters/tdx",
    "/sys/module/kvm_intel/parameters/nested",
    "/sys/module/kvm_amd/parameters/nested",
    "/sys/hypervisor/type",
    "/etc/apparmor.d/stockade",
];

/// Processor flags that are facts.
const CPU_FLAGS: [&str; 9] = [
    "vmx",
    "svm",
    "hypervisor",
    "sev",
    "sev_es",
    "sev_snp",
    "sme",
    "tme",
    "tdx_guest",
];

/// The first kind of encrypted memory that guests of this host can have, for who wants to know no more; none
/// also where that cannot be read.
#[must_use]
pub fn memory_encryption() -> Option<&'static str> {
    let is_set = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| is_on(text.trim()));
    let found = ENCRYPTION.into_iter().find(|(path, _)| is_set(path));
    found.map(|(_, name)| name)
}

/// Does one try of [`TRIALS`] in this process and returns its outcome as JSON. The process
/// should have been started for it: it may be confined afterwards, or never return.
///
/// # Errors
/// There is no such try, or the outcome cannot be written down.
pub fn trial(name: &str) -> Result<String> {
    let told = match name {
        "namespaces" => {
            let all: std::collections::BTreeMap<_, Tried> = trial::namespaces().into_iter().collect();
            serde_json::to_string(&all)
        }
        "overlay" => serde_json::to_string(&trial::overlay()),
        "idmapped-mount" => serde_json::to_string(&trial::idmapped_mount(Path::new("/usr"))),
        "kvm" => serde_json::to_string(&trial::kvm::smoke()),
        _ => {
            return Err(Error::NotFound {
                what: "try of the kernel",
                name: name.to_owned(),
                remedy: Some(format!("choose one of: {}", TRIALS.join(", "))),
            });
        }
    };
    told.map_err(|error| Error::io("write down the outcome", error))
}

/// Reads what a try wrote.
pub(super) fn outcome<T: DeserializeOwned>(written: &[u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(written).map_err(|error| format!("its outcome is not understood: {error}"))
}

pub(super) fn see(path: &str) -> Seen {
    match std::fs::read_to_string(path) {
        Ok(text) => Seen::Text(text.trim_matches(['\0', '\n', ' ']).to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Seen::Absent,
        Err(error) => Seen::Unreadable(error.to_string()),
    }
}

pub(super) fn system() -> System {
    let name = rustix::system::uname();
    let kernel = name.release().to_string_lossy().into_owned();
    let (title, family) = match see("/etc/os-release") {
        Seen::Text(text) => distribution(&text),
        Seen::Absent | Seen::Unreadable(_) => ("an unknown distribution".to_owned(), Vec::new()),
    };
    System {
        name: title,
        family,
        container: container(&kernel),
        kernel,
        architecture: name.machine().to_string_lossy().into_owned(),
        systemd: Path::new("/run/systemd/system").is_dir(),
    }
}

/// Name and family, from os-release(5).
fn distribution(text: &str) -> (String, Vec<String>) {
    let value = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    let title = value("PRETTY_NAME").unwrap_or_else(|| "an unnamed distribution".to_owned());
    let family = [value("ID"), value("ID_LIKE")]
        .into_iter()
        .flatten()
        .flat_map(|names| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    (title, family)
}

fn container(kernel: &str) -> Option<String> {
    if kernel.to_lowercase().contains("microsoft") {
        return Some("WSL2".to_owned());
    }
    let marks = [
        ("/.dockerenv", "Docker"),
        ("/run/.containerenv", "Podman"),
        ("/var/run/secrets/kubernetes.io", "Kubernetes"),
    ];
    if let Some((_, kind)) = marks.into_iter().find(|(mark, _)| Path::new(mark).exists()) {
        return Some(kind.to_owned());
    }
    match see("/run/systemd/container") {
        Seen::Text(kind) if !kind.is_empty() => Some(kind),
        _ => None,
    }
}

pub(super) fn cpu_flags() -> BTreeSet<String> {
    let Seen::Text(text) = see("/proc/cpuinfo") else {
        return BTreeSet::new();
    };
    let line = text.lines().find(|line| line.starts_with("flags"));
    line.unwrap_or_default()
        .split_whitespace()
        .filter(|flag| CPU_FLAGS.contains(flag))
        .map(str::to_owned)
        .collect()
}

pub(super) fn cgroups() -> Cgroups {
    let layout = match see("/proc/self/mountinfo") {
        Seen::Text(text) => CgroupLayout::from_mountinfo(&text),
        Seen::Absent | Seen::Unreadable(_) => CgroupLayout::None,
    };
    Cgroups {
        layout,
        mechanism: stockade_linux::cgroup::survey().mechanism().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_a_name_and_a_family() {
        let text = "PRETTY_NAME=\"Linux Mint 22\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        let (name, family) = distribution(text);
        assert_eq!(name, "Linux Mint 22");
        assert_eq!(family, ["linuxmint", "ubuntu", "debian"]);
    }

    #[test]
    fn an_unknown_try_names_the_known() {
        let error = trial("everything").unwrap_err().to_string();
        assert!(
            error.contains("everything") && error.contains("overlay"),
            "{error}"
        );
    }
}
