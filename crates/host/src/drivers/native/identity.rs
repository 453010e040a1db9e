//! Which host ids a sandbox started by root uses: a range of its own while it lives.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use stockade_domain::Spec;
use stockade_domain::target::HostFacts;
use stockade_linux::idmap::{Identity, SLOTS};

use crate::error::{Error, Result};

/// Who the workload is, and the lock that keeps its ids from others.
pub(super) struct Claimed {
    pub identity: Identity,
    _slot: Option<File>,
}

/// Slots that are tried before giving up; far more than can live on one machine.
const TRIES: u32 = SLOTS;

/// Takes the supervisor's own ids, or, as root, a range that no living sandbox uses.
pub(super) fn claim(facts: &HostFacts, spec: &Spec) -> Result<Claimed> {
    if !facts.privileged {
        let gid = rustix::process::getegid().as_raw();
        return Ok(Claimed {
            identity: Identity::own(facts.euid, gid),
            _slot: None,
        });
    }
    let (uid, gid) = owner(spec)?;
    let (slot, lock) = claim_slot()?;
    Ok(Claimed {
        identity: Identity::slot(slot, uid, gid),
        _slot: Some(lock),
    })
}

/// Owner of the workspace; root where there is none.
fn owner(spec: &Spec) -> Result<(u32, u32)> {
    let Some(workspace) = &spec.workspace else {
        return Ok((0, 0));
    };
    let seen = fs::metadata(&workspace.source)
        .map_err(|error| Error::io(format!("read the owner of {}", workspace.source.display()), error))?;
    Ok((seen.uid(), seen.gid()))
}

/// One lock file a slot, shared by all supervisors of this host that run as root; the
/// lock is the kernel's, so it ends with its holder.
fn claim_slot() -> Result<(u32, File)> {
    const DIRECTORY: &str = "/run/stockade/ids";
    let state = |operation, path: &Path, error: std::io::Error| Error::state(operation, path, error);
    let directory = Path::new(DIRECTORY);
    if !directory.is_dir() {
        make_private(directory).map_err(|error| state("create", directory, error))?;
    }
    let first = std::process::id() % SLOTS;
    for offset in 0..TRIES {
        let slot = (first + offset) % SLOTS;
        let path = directory.join(slot.to_string());
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| state("open", &path, error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok((slot, lock));
        }
    }
    Err(Error::Busy {
        what: "claim host ids for the sandbox".to_owned(),
        why: format!("all {SLOTS} ranges are in use; stop some sandboxes"),
    })
}

fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}
