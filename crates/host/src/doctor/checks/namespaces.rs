//! Namespaces, and what keeps ordinary users from them.

use stockade_linux::trial::{NAMESPACES, Tried};

use super::{NATIVE, of_try};
use crate::doctor::observed::{Observed, Seen};
use crate::doctor::{Check, Verdict};

const MAXIMUM: &str = "/proc/sys/user/max_user_namespaces";
const CLONE: &str = "/proc/sys/kernel/unprivileged_userns_clone";
const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const PROFILE: &str = "/proc/self/attr/apparmor/current";

/// A driver of this kernel without root.
const NATIVE_AS_USER: &str = "native without root";

pub(super) fn checks(seen: &Observed) -> Vec<Check> {
    let mut all = vec![
        setting(
            seen,
            "max-user-namespaces",
            "limit on user namespaces",
            MAXIMUM,
            &[NATIVE],
        ),
        setting(
            seen,
            "unprivileged-userns-clone",
            "user namespaces without root",
            CLONE,
            &[NATIVE_AS_USER],
        ),
        apparmor(seen),
    ];
    all.extend(NAMESPACES.into_iter().map(|(kind, _)| namespace(seen, kind)));
    all
}

/// A switch of the kernel that turns user namespaces off by 0.
fn setting(seen: &Observed, id: &str, what: &'static str, path: &str, matters_to: &[&'static str]) -> Check {
    let name = path.trim_start_matches("/proc/sys/").replace('/', ".");
    let verdict = match seen.file(path) {
        Seen::Absent => Verdict::ok("this kernel has no such switch"),
        Seen::Unreadable(why) => Verdict::unknown(format!("{path}: {why}")),
        Seen::Text(value) => match value.parse::<u64>() {
            Ok(0) => Verdict::missing(format!("{name} = 0"), turn_on(path)),
            Ok(value) => Verdict::ok(format!("{name} = {value}")),
            Err(_) => Verdict::unknown(format!("{path} holds no number: {value}")),
        },
    };
    Check::new(id, what, verdict, matters_to)
}

/// Ubuntu 23.10 and later: only programs with a profile that says so get rights in a user
/// namespace.
fn apparmor(seen: &Observed) -> Check {
    let unknown = |path: &str, why: &str| Verdict::unknown(format!("{path}: {why}"));
    let verdict = match seen.file(APPARMOR) {
        Seen::Absent => Verdict::ok("no restriction in this kernel"),
        Seen::Unreadable(why) => unknown(APPARMOR, &why),
        Seen::Text(value) if value == "0" => Verdict::ok("the restriction is off"),
        Seen::Text(_) => match seen.file(PROFILE) {
            Seen::Text(profile) if !profile.is_empty() && !profile.starts_with("unconfined") => {
                Verdict::ok(format!("restricted; this program has the profile {profile}"))
            }
            Seen::Unreadable(why) => unknown(PROFILE, &why),
            Seen::Text(_) | Seen::Absent => Verdict::missing(
                format!(
                    "AppArmor gives programs without a profile no rights in user namespaces, and {} has none",
                    seen.program.display()
                ),
                profile(seen),
            ),
        },
    };
    Check::new(
        "apparmor-userns",
        "AppArmor and user namespaces",
        verdict,
        &[NATIVE_AS_USER],
    )
}

fn namespace(seen: &Observed, kind: &str) -> Check {
    let tried = seen.namespaces.get(kind).cloned();
    let tried = tried.unwrap_or_else(|| Tried::unknown("it was not tried"));
    let verdict = of_try(&tried, "made", &remedy(seen));
    // A sandbox lives without its own clock.
    let matters_to: &[&'static str] = if kind == "time" { &[] } else { &[NATIVE] };
    Check::new(
        format!("namespace-{kind}"),
        format!("{kind} namespace"),
        verdict,
        matters_to,
    )
}

/// What lets namespaces be made.
fn turn_on(path: &str) -> &'static str {
    if path == MAXIMUM {
        "sudo stockade setup --sysctl; or until the next start: sudo sysctl user.max_user_namespaces=10000"
    } else {
        "sudo stockade setup --sysctl; or until the next start: sudo sysctl kernel.unprivileged_userns_clone=1"
    }
}

/// The profile that gives this one program rights in its user namespaces.
fn profile(seen: &Observed) -> String {
    format!(
        "sudo stockade setup; or as root: write `abi <abi/4.0>, profile stockade {} flags=(unconfined) {{ userns, }}` to \
         /etc/apparmor.d/stockade, then: apparmor_parser -r /etc/apparmor.d/stockade",
        seen.program.display()
    )
}

/// Why namespaces are refused cannot be read from the error; what forbids them can.
fn remedy(seen: &Observed) -> String {
    let is_off = |path| matches!(seen.file(path), Seen::Text(value) if value == "0");
    if let Some(path) = [MAXIMUM, CLONE].into_iter().find(|path| is_off(path)) {
        return turn_on(path).to_owned();
    }
    if !apparmor(seen).verdict.is_ok() {
        return profile(seen);
    }
    match &seen.system.container {
        Some(kind) if kind != "WSL2" => format!(
            "the container ({kind}) forbids it: run Stockade outside, or start the container with \
             --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        ),
        _ => "use a kernel with CONFIG_USER_NS and the other namespaces".to_owned(),
    }
}
