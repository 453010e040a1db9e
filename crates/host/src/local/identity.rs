//! Which host ids a sandbox started by root uses: a range of its own while it lives.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stockade_domain::Spec;
use stockade_domain::target::HostFacts;
use stockade_linux::idmap::{Identity, SLOTS, slot_of};
use stockade_linux::sys::lock_byte;

use crate::error::{Error, Result};
use crate::view;

/// Who the workload is, and the lock that keeps its ids from others.
pub(crate) struct Claimed {
    pub identity: Identity,
    _slot: Option<File>,
}

impl From<Identity> for view::Identity {
    fn from(Identity { uid, gid, .. }: Identity) -> Self {
        Self { uid, gid }
    }
}

/// Takes the supervisor's own ids, or, as root, a range that no living sandbox uses: if it can
/// be had, the one in which the files of a change set are that the sandbox goes on with.
pub(crate) fn claim(facts: &HostFacts, spec: &Spec, changes: Option<&Path>) -> Result<Claimed> {
    if !facts.privileged {
        return Ok(Claimed {
            identity: own(facts),
            _slot: None,
        });
    }
    claim_range(spec, changes)
}

/// Takes a range of host ids that no living sandbox uses, if it can be the one that the change set
/// of a former sandbox belongs to. Only root can.
pub(crate) fn claim_range(spec: &Spec, changes: Option<&Path>) -> Result<Claimed> {
    let former = changes.and_then(|changes| fs::metadata(changes.join("upper")).ok());
    let former = former.and_then(|upper| slot_of(upper.uid()));
    let (slot, lock) = claim_slot(former)?;
    let workspace = spec
        .workspace
        .as_ref()
        .map(|workspace| workspace.source.as_path());
    let identity = in_slot(workspace, slot).map_err(unreadable)?;
    Ok(Claimed {
        identity,
        _slot: Some(lock),
    })
}

/// The ids inside, for a view or a dry run: the host's side depends on the slot.
///
/// # Errors
/// The owner of the workspace cannot be read.
pub(crate) fn expected(facts: &HostFacts, workspace: Option<&Path>) -> std::io::Result<Identity> {
    if !facts.privileged {
        return Ok(own(facts));
    }
    in_slot(workspace, 0)
}

fn own(facts: &HostFacts) -> Identity {
    Identity::own(facts.euid, rustix::process::getegid().as_raw())
}

/// Owner of the workspace; root where there is none.
pub(crate) fn in_slot(workspace: Option<&Path>, slot: u32) -> std::io::Result<Identity> {
    let (uid, gid) = match workspace {
        None => (0, 0),
        Some(workspace) => {
            let seen = fs::metadata(workspace)?;
            (seen.uid(), seen.gid())
        }
    };
    Ok(Identity::slot(slot, uid, gid))
}

pub(crate) fn unreadable(cause: std::io::Error) -> Error {
    Error::io("read the owner of the workspace", cause)
}

/// One byte of a file is one slot, for all supervisors of this host that run as root. The
/// lock is the kernel's, so it ends with its holder.
fn claim_slot(preferred: Option<u32>) -> Result<(u32, File)> {
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
    let first = preferred.unwrap_or(std::process::id() % SLOTS);
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
