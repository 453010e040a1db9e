//! The one facade: everything a front (the command line now; HTTP, MCP later) can ask for.
//! It parses nothing and prints nothing.

pub mod apply;
pub mod attach;
pub mod audit;
pub mod auto;
pub mod budget;
mod change_set;
pub mod changes;
pub mod checkpoints;
pub mod choose;
pub mod commits;
pub mod copy;
pub mod detached;
pub mod diff;
pub mod doctor;
pub mod evidence;
pub mod exec;
pub mod garbage;
mod guest;
pub mod inside;
pub mod inspect;
pub mod lint;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod not_started;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod probed;
pub mod run;
pub mod sandboxes;
pub mod setup;
mod standing;
pub mod top;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use stockade_host::checkpoints as stored;
use stockade_host::driver::Driver;
use stockade_host::drivers::chroot::{self, Chroot};
use stockade_host::drivers::landlock::{self, Landlock};
use stockade_host::drivers::native::{self, Native};
use stockade_host::state::{ChangeSet, StateDirs};

use crate::failure::Failure;

/// Result of the facade.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names of all drivers, the strongest first.
pub const DRIVERS: [&str; 3] = [native::NAME, chroot::NAME, landlock::NAME];

/// A driver by its name.
fn driver(name: &str) -> Result<Arc<dyn Driver>> {
    match name {
        native::NAME => Ok(Arc::new(Native::new())),
        chroot::NAME => Ok(Arc::new(Chroot::new())),
        landlock::NAME => Ok(Arc::new(Landlock::new())),
        _ => Err(unknown_driver(name)),
    }
}

/// Every driver: what a crash left may belong to any of them.
fn drivers() -> Result<Vec<Arc<dyn Driver>>> {
    DRIVERS.into_iter().map(driver).collect()
}

fn unknown_driver(name: &str) -> Failure {
    Failure::UnknownDriver {
        name: name.to_owned(),
        known: std::iter::once(auto::AUTO).chain(DRIVERS).collect(),
        suggestion: nearest(name, &DRIVERS),
    }
}

/// The known name that a mistyped one may have been meant for.
pub fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    nearest_of(name, known.iter().copied())
}

/// The same among names that are not built in.
fn nearest_of<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Less alike than this is no typing mistake.
    const ALIKE: f64 = 0.7;
    let alike = |known: &'a str| (strsim::jaro_winkler(name, known), known);
    let nearest = known.map(alike).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(score, _)| *score >= ALIKE)
        .map(|(_, known)| known)
}

/// Where the state is kept, whether it exists already or not.
fn state_path() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("stockade"))
}

/// The state directory, made where it does not exist.
fn state() -> Result<Arc<StateDirs>> {
    Ok(Arc::new(StateDirs::from_environment()?))
}

/// Runs a future to its end on this thread. No other thread is ever started: sandboxes are
/// made by forking.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    check_room().map_err(Failure::Runtime)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::Runtime)?
        .block_on(future)
}

/// Has the changes of a sandbox without a shared file system be what is inside now; other changes are that anyway.
fn fresh(dirs: &StateDirs, set: &ChangeSet) -> Result<()> {
    if set.live && set.is_told() {
        return block_on(async { Ok(stored::fresh(dirs, set).await?) });
    }
    Ok(())
}

/// tokio takes its own descriptors for granted and panics where there are none. Numbers are
/// given from the lowest up, so the next one tells how many are left.
fn check_room() -> std::io::Result<()> {
    const NEEDED: u64 = 16;
    let (next, _) = std::os::unix::net::UnixStream::pair()?;
    let used = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&next)).unwrap_or(0);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if limit.is_some_and(|limit| used + NEEDED > limit) {
        return Err(rustix::io::Errno::MFILE.into());
    }
    Ok(())
}

/// System, release and version of the kernel.
fn kernel() -> String {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    format!(
        "{} {} {}",
        text(name.sysname()),
        text(name.release()),
        text(name.version())
    )
}
