//! What a probe's result depends on. When one of these is another than it was, the result says nothing of
//! now.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_domain::policy::LayerKind;

use crate::audit::hash;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::layers::{Found, Places};

/// Longest setting that is kept; what is longer is known by its hash.
const LONGEST_SETTING: usize = 200;

/// A setting of the kernel that decides whether an attack gets somewhere, or whether a wall can be built.
struct Setting {
    /// Its file below `/proc/sys`.
    path: &'static str,
    /// What hangs on it.
    decides: &'static str,
}

const fn setting(path: &'static str, decides: &'static str) -> Setting {
    Setting { path, decides }
}

/// The settings that matter. One that this kernel does not have is kept as absent: it may come with a module.
const SETTINGS: [Setting; 26] = [
    setting("user/max_user_namespaces", "user namespaces"),
    setting("user/max_mnt_namespaces", "mount namespaces"),
    setting("user/max_net_namespaces", "network namespaces"),
    setting("user/max_pid_namespaces", "process namespaces"),
    setting(
        "kernel/unprivileged_userns_clone",
        "user namespaces of ordinary users",
    ),
    setting(
        "kernel/apparmor_restrict_unprivileged_userns",
        "user namespaces of ordinary users",
    ),
    setting("kernel/yama/ptrace_scope", "tracing of other processes"),
    setting("kernel/dmesg_restrict", "who reads the kernel's log"),
    setting("kernel/kptr_restrict", "who sees addresses of the kernel"),
    setting("kernel/perf_event_paranoid", "performance counters"),
    setting("kernel/unprivileged_bpf_disabled", "BPF"),
    setting("kernel/io_uring_disabled", "io_uring"),
    setting("kernel/kexec_load_disabled", "loading another kernel"),
    setting("kernel/modules_disabled", "loading modules"),
    setting("kernel/core_pattern", "what runs for a process that crashes"),
    setting("kernel/sysrq", "keys that act on the whole machine"),
    setting("kernel/randomize_va_space", "where programs lie in memory"),
    setting("vm/unprivileged_userfaultfd", "userfaultfd"),
    setting("fs/suid_dumpable", "memory of privileged programs that crash"),
    setting("fs/protected_symlinks", "following links of others"),
    setting("fs/protected_hardlinks", "links to files of others"),
    setting("fs/protected_fifos", "pipes of others"),
    setting("fs/protected_regular", "files of others"),
    setting("dev/tty/legacy_tiocsti", "typing into a terminal"),
    setting("net/ipv4/ping_group_range", "who may send pings"),
    setting(
        "net/ipv4/ip_unprivileged_port_start",
        "who may listen on low ports",
    ),
];

/// Where and of what a probe was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// The kernel's id of this start of the machine.
    pub boot: String,
    /// The kernel's release and version.
    pub kernel: String,
    /// The security modules in force.
    pub security_modules: String,
    /// The settings of the kernel that matter, by path; none where there is no such setting.
    pub settings: BTreeMap<String, Option<String>>,
    /// Of the driver.
    pub driver_version: String,
    /// Of Stockade: its version, its battery, and the files of its programs.
    pub build: String,
    /// SHA-256 of the organisation's policies, which hold for every sandbox.
    pub policy: String,
    /// The user id that it was made with.
    pub user: u32,
}

/// The build that asks: what the programs are is told by their files, since two builds can have one version.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The version of Stockade.
    pub version: &'a str,
    /// The fingerprint of the battery.
    pub battery: &'a str,
    /// The program itself, and the guest's where that is another.
    pub programs: &'a [PathBuf],
}

impl Circumstances {
    /// Those of now.
    ///
    /// # Errors
    /// [`Error::Io`] if the machine's start, a program or a policy cannot be read: then no result is known to hold.
    pub fn now(driver: &dyn Driver, build: Build<'_>) -> Result<Self> {
        let name = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Ok(Self {
            boot: required(Path::new("/proc/sys/kernel/random/boot_id"))?,
            kernel: format!("{} {}", text(name.release()), text(name.version())),
            security_modules: optional(Path::new("/sys/kernel/security/lsm"))
                .unwrap_or_else(|| "not told".to_owned()),
            settings: SETTINGS
                .iter()
                .map(|setting| {
                    let value = optional(&Path::new("/proc/sys").join(setting.path));
                    (setting.path.to_owned(), value.map(shortened))
                })
                .collect(),
            driver_version: driver.version(),
            build: build.name()?,
            policy: organisation()?,
            user: rustix::process::geteuid().as_raw(),
        })
    }

    /// What is another than it was, in clauses.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let simple = [
            ("the machine was started anew", self.boot != now.boot),
            ("the kernel is another", self.kernel != now.kernel),
            (
                "the security modules are others",
                self.security_modules != now.security_modules,
            ),
            (
                "the driver is of another version",
                self.driver_version != now.driver_version,
            ),
            ("Stockade is another build", self.build != now.build),
            ("the organisation's policy is another", self.policy != now.policy),
            ("it was made by another user", self.user != now.user),
        ];
        let mut changes: Vec<String> = simple
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(what, _)| what.to_owned())
            .collect();
        for setting in &SETTINGS {
            let (before, after) = (self.settings.get(setting.path), now.settings.get(setting.path));
            if before != after {
                changes.push(format!(
                    "{} is {} instead of {} ({})",
                    setting.path.replace('/', "."),
                    told(after),
                    told(before),
                    setting.decides
                ));
            }
        }
        // A setting that only another build knows: said by the build, and no reason to believe it.
        if changes.is_empty() && self != now {
            changes.push("other settings were looked at".to_owned());
        }
        changes
    }
}

fn told(value: Option<&Option<String>>) -> &str {
    value.and_then(Option::as_deref).unwrap_or("absent")
}

impl Build<'_> {
    fn name(&self) -> Result<String> {
        let mut name = format!("{} {}", self.version, self.battery);
        for program in self.programs {
            let seen = fs::metadata(program)
                .map_err(|error| Error::io(format!("look at {}", program.display()), error))?;
            name.push_str(&format!(
                " {}:{}:{}:{}.{:09}",
                seen.dev(),
                seen.ino(),
                seen.size(),
                seen.mtime(),
                seen.mtime_nsec()
            ));
        }
        Ok(name)
    }
}

fn required(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path);
    text.map(|text| text.trim().to_owned())
        .map_err(|error| Error::io(format!("read {}", path.display()), error))
}

/// What is not there, and what only others may read, is told apart from every value.
fn optional(path: &Path) -> Option<String> {
    match fs::read_to_string(path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(format!("unreadable: {}", error.kind())),
    }
}

fn shortened(value: String) -> String {
    if value.len() > LONGEST_SETTING {
        hash(value.as_bytes())
    } else {
        value
    }
}

/// The organisation's files, by name and content.
fn organisation() -> Result<String> {
    let places = Places {
        user: None,
        ..Places::of_process()
    };
    let found = Found::read(&places)
        .map_err(|error| Error::io("read the organisation's policies", std::io::Error::other(error)))?;
    let mut all = Vec::new();
    for file in found
        .files
        .iter()
        .filter(|file| file.layer == LayerKind::Organisation)
    {
        let bytes = fs::read(&file.path)
            .map_err(|error| Error::io(format!("read {}", file.path.display()), error))?;
        all.extend_from_slice(format!("{}\n{}\n", file.path.display(), bytes.len()).as_bytes());
        all.extend_from_slice(&bytes);
    }
    Ok(hash(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::native::Native;

    fn now() -> Circumstances {
        let programs = [std::env::current_exe().unwrap()];
        let build = Build {
            version: "1",
            battery: "b",
            programs: &programs,
        };
        Circumstances::now(&Native::new(), build).unwrap()
    }

    #[test]
    fn nothing_changes_while_nothing_happens() {
        assert_eq!(now().changes(&now()), Vec::<String>::new());
    }

    #[test]
    fn each_circumstance_makes_a_result_old() {
        type Change = fn(&mut Circumstances);
        let changes: [(Change, &str); 8] = [
            (|all| all.boot.push('x'), "started anew"),
            (|all| all.kernel.push('x'), "kernel is another"),
            (|all| all.security_modules.push('x'), "security modules"),
            (|all| all.driver_version.push('x'), "driver is of another"),
            (|all| all.build.push('x'), "another build"),
            (|all| all.policy.push('x'), "organisation's policy"),
            (|all| all.user ^= 1, "another user"),
            (
                |all| {
                    drop(
                        all.settings
                            .insert("kernel/yama/ptrace_scope".to_owned(), Some("7".to_owned())),
                    )
                },
                "kernel.yama.ptrace_scope is ",
            ),
        ];
        for (change, said) in changes {
            let mut former = now();
            change(&mut former);
            let told = former.changes(&now());
            assert!(told.len() == 1 && told[0].contains(said), "{said}: {told:?}");
        }
    }

    #[test]
    fn every_setting_is_named_once() {
        let names: std::collections::BTreeSet<_> = SETTINGS.iter().map(|setting| setting.path).collect();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
