//! Starting the process that becomes the guest. It needs little, and its exec takes a while,
//! so a program that knows it will need one can have it started before it reads its flags.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::net::SocketType;
use stockade_linux::apply::{make_read_only, open_tree};
use stockade_linux::spawn::{GuestImage, SpawnRequest, Spawned, spawn};

use super::{survey, talk};
use crate::driver::GuestProgram;
use crate::error::{Error, Result};

/// A guest that waits for its set-up. Dropping it ends it.
pub(super) struct Started {
    pub spawned: Spawned,
    pub door: OwnedFd,
    pub link: OwnedFd,
    program: PathBuf,
    own_network: bool,
}

/// The one that was started early and that nobody has taken yet.
static EARLY: Mutex<Option<Started>> = Mutex::new(None);

/// Starts a guest for the next sandbox of this process, with an own network namespace. The
/// calling thread must live as long as that sandbox. A failure is not reported: creating the
/// sandbox starts its own guest then, and reports.
pub fn start_early(program: &GuestProgram) {
    // A cgroup of version 2 must exist before the process that is born into it.
    if starts_in_its_cgroup() {
        return;
    }
    if let Ok(started) = Started::new(program, survey::privileged(), true, None) {
        *EARLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
    }
}

fn starts_in_its_cgroup() -> bool {
    const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
    rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|found| found.f_type == CGROUP2_SUPER_MAGIC)
}

impl Started {
    /// The one that was started early, if it is what is needed.
    pub(super) fn take_early(program: &GuestProgram, own_network: bool) -> Option<Self> {
        let early = EARLY.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (early.program == program.path && early.own_network == own_network).then_some(early)
    }

    /// Starts one.
    pub(super) fn new(
        program: &GuestProgram,
        privileged: bool,
        own_network: bool,
        into_cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Self> {
        let (door, guest_door) = talk::pair(SocketType::SEQPACKET)?;
        let (link, guest_link) = talk::pair(SocketType::STREAM)?;
        let mut arguments = vec!["stockade-guest".to_owned()];
        arguments.extend(program.arguments.iter().cloned());
        let image = if privileged {
            GuestImage::Mount(protected(program)?)
        } else {
            GuestImage::Path(&program.path)
        };
        let inherit = vec![guest_door, guest_link];
        let request = SpawnRequest {
            program: image,
            arguments: &arguments,
            own_network,
            into_cgroup,
            inherit,
        };
        let spawned = spawn(&request).map_err(|error| Error::native("start the guest", error.to_string()))?;
        Ok(Self {
            spawned,
            door,
            link,
            program: program.path.clone(),
            own_network,
        })
    }
}

/// A mount of the program that cannot be written through.
fn protected(program: &GuestProgram) -> Result<OwnedFd> {
    let failed = |(call, source)| Error::native("protect the guest's program", format!("{call}: {source}"));
    let tree = open_tree(&program.path, false).map_err(failed)?;
    make_read_only(&tree).map_err(failed)?;
    Ok(tree)
}
