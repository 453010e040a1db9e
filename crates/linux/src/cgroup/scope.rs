//! A scope of our own from the user's systemd: the only way in which an ordinary user of a
//! systemd host gets a control group that may be divided.
//!
//! The scope is made around this process (systemd moves it there, which the user may not), and
//! goes away with the last process in it; systemd removes what is left below.

use std::path::Path;
use std::time::{Duration, Instant};

use super::controller::Controller;
use super::record::{Kind, SeatRecord};
use super::{ASIDE, Error, Result, bus, layout};

/// For the bus and for systemd's job together. An idle machine takes some 10 ms.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Moves this process into a new scope and returns it as a base. Where an earlier call already
/// did so, it is found again.
pub(super) fn enter(socket: &Path, mount: &Path, controllers: &[Controller]) -> Result<SeatRecord> {
    let seat = |cgroup: &str| SeatRecord {
        kind: Kind::V2,
        controllers: controllers.to_vec(),
        base: mount.join(cgroup.trim_start_matches('/')),
        base_cgroup: cgroup.to_owned(),
    };
    let now = own()?;
    if layout::leaf(&now) == ASIDE {
        return Ok(seat(layout::parent(&now)));
    }
    let pid = std::process::id();
    let name = name(pid);
    let deadline = Instant::now() + PATIENCE;
    bus::start_scope(socket, &name, pid, PATIENCE).map_err(Error::Scope)?;
    Ok(seat(&wait_until_in(&name, deadline)?))
}

/// systemd answers before it has done the job.
fn wait_until_in(name: &str, deadline: Instant) -> Result<String> {
    let mut pause = FIRST_PAUSE;
    loop {
        let cgroup = own()?;
        if layout::leaf(&cgroup) == name {
            return Ok(cgroup);
        }
        if Instant::now() >= deadline {
            return Err(Error::Scope(format!(
                "it accepted {name} but this process is still in {cgroup}; see journalctl --user -u {name}"
            )));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Unique also when one process asks again after its first scope was stopped.
fn name(pid: u32) -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    format!("stockade-{pid}-{:x}{:08x}.scope", now.tv_sec, now.tv_nsec)
}

/// Our group in the unified tree.
fn own() -> Result<String> {
    let path = "/proc/self/cgroup";
    let text = std::fs::read_to_string(path).map_err(|error| Error::Scope(format!("{path}: {error}")))?;
    layout::v2_path(&text).ok_or_else(|| Error::Scope(format!("{path} shows no cgroup v2")))
}
