//! Which host ids a sandbox started by root uses: a range of its own while it lives.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stockade_domain::Spec;
use stockade_domain::target::HostFacts;
use stockade_linux::idmap::{Identity, SLOTS};
use stockade_linux::sys::lock_byte;

use crate::error::{Error, Result};

/// Who the workload is, and the lock that keeps its ids from others.
pub(super) struct Claimed {
    pub identity: Identity,
    _slot: Option<File>,
}

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

/// The ids inside, for a view or a dry run: the host's side depends on the slot.
#[must_use]
pub fn expected(facts: &HostFacts, workspace: Option<&Path>) -> Identity {
    if !facts.privileged {
        return Identity::own(facts.euid, rustix::process::getegid().as_raw());
    }
    let (uid, gid) = workspace
        .and_then(|workspace| fs::metadata(workspace).ok())
        .map_or((0, 0), |seen| (seen.uid(), seen.gid()));
    Identity::slot(0, uid, gid)
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

/// One byte of a file is one slot, for all supervisors of this host that run as root. The
/// lock is the kernel's, so it ends with its holder.
fn claim_slot() -> Result<(u32, File)> {
    const DIRECTORY: &str = "/run/stockade";
    const FILE: &str = "/run/stockade/ids";
    let open = || {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(FILE)
    };
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_private(Path::new(DIRECTORY)).map_err(|error| Error::state("create", DIRECTORY, error))?;
            open()
        }
        other => other,
    }
    .map_err(|error| Error::state("open", FILE, error))?;
    let first = std::process::id() % SLOTS;
    for offset in 0..SLOTS {
        let slot = (first + offset) % SLOTS;
        if lock_byte(file.as_fd(), slot).is_ok() {
            return Ok((slot, file));
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
