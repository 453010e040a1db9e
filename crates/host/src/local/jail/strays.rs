//! Processes of a sandbox that outlived guest and keeper: there are none, unless both were killed from
//! outside in the same moment.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::local::boundary::After;

/// Looks, while what is found is killed; more often than this means that it forks faster.
const ROUNDS: u32 = 100;

/// Does something if no process has the sandbox's id any more. A process that is left may stand in
/// what would be moved or used again.
pub(super) fn unless_any(uid: Option<u32>, after: After) -> After {
    Box::new(move || {
        if uid.is_none_or(|uid| uid != 0 && (0..ROUNDS).any(|_| kill_all(uid) == Some(0))) {
            after();
        }
    })
}

/// Kills the processes of an id and says how many there were; none if that cannot be told.
fn kill_all(uid: u32) -> Option<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir("/proc").ok()? {
        let name = entry.ok()?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = number.and_then(Pid::from_raw).filter(|pid| runs_as(*pid, uid)) else {
            continue;
        };
        found += 1;
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && runs_as(pid, uid)
        {
            // One that ended by itself is what is wanted.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
    Some(found)
}

/// Whether a process lives and has this real id. Who owns its directory in /proc does not tell: that is
/// root where it has made itself unreadable.
fn runs_as(pid: Pid, uid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())) else {
        return false; // gone meanwhile
    };
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let is_dead = field("State:").is_some_and(|state| state.trim_start().starts_with(['Z', 'X']));
    let real = field("Uid:").and_then(|ids| ids.split_whitespace().next()?.parse::<u32>().ok());
    !is_dead && real == Some(uid)
}
