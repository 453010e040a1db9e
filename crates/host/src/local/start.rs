//! Starting the process that becomes the guest. It needs little, and making its namespaces and
//! its exec take a while, so a program that knows it will need one can have it started before it
//! reads its flags, by a second thread.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::net::SocketType;
use stockade_linux::apply::{make_read_only, open_tree};
use stockade_linux::spawn::{Birthplace, GuestImage, Namespaces, SpawnRequest, Spawned, spawn};

use super::{survey, talk};
use crate::driver::GuestProgram;
use crate::error::{Error, Result};

/// What the guest is started in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Namespaces of its own.
    Namespaces {
        /// The network's, too.
        network: bool,
        /// The supervisor has the right to make mounts.
        privileged: bool,
    },
    /// None: the walls are others.
    Shared,
}

/// A guest that waits for its set-up. Dropping it ends it.
pub(crate) struct Started {
    pub spawned: Spawned,
    pub door: OwnedFd,
    pub link: OwnedFd,
    /// The mount that the program was executed from. Whoever closes it last waits for the
    /// kernel to take the mount apart, and nobody should while others wait for them.
    pub image: Option<OwnedFd>,
    program: PathBuf,
    isolation: Isolation,
}

/// The one that is started early and that nobody has taken yet.
static EARLY: Mutex<Early> = Mutex::new(Early::None);

/// Enough for the few frames of starting a process.
const STACK_BYTES: usize = 128 << 10;

enum Early {
    None,
    Begun(Receiver<Started>),
    Ready(Started),
}

impl Early {
    /// What became of it, once it is known.
    fn settle(&mut self) {
        if let Self::Begun(answer) = self {
            *self = answer.recv().map_or(Self::None, Self::Ready);
        }
    }
}

/// Begins to start a guest for the next sandbox of this process: in namespaces of its own, the
/// network's too, or in none. A failure is not reported: creating the sandbox starts its own
/// guest then, and reports.
pub fn start_early(program: &GuestProgram, namespaces: bool) {
    // A cgroup of version 2 must exist before the process that is born into it.
    if starts_in_its_cgroup() {
        return;
    }
    let isolation = if namespaces {
        Isolation::Namespaces {
            network: true,
            privileged: survey::privileged(),
        }
    } else {
        Isolation::Shared
    };
    let program = program.clone();
    let (sender, answer) = channel();
    let work = move || {
        let _ = leave_cpu();
        // Nobody hears of a failure, so it is nobody's.
        if let Ok(started) = Started::new("", &program, isolation, None) {
            let _ = sender.send(started);
            // The guest asks the kernel to be killed when the thread ends that started it.
            loop {
                thread::park();
            }
        }
    };
    let thread = thread::Builder::new().name("starter".to_owned());
    if thread.stack_size(STACK_BYTES).spawn(work).is_ok() {
        *EARLY.lock().unwrap_or_else(PoisonError::into_inner) = Early::Begun(answer);
    }
}

/// Moves the calling thread to another CPU, if it may use several. A new thread is placed on the
/// CPU of its maker and takes it over, which would then wait for what it wanted done meanwhile.
fn leave_cpu() -> rustix::io::Result<()> {
    use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};
    let allowed = sched_getaffinity(None)?;
    let mut others = allowed;
    others.unset(sched_getcpu());
    if others.count() > 0 {
        sched_setaffinity(None, &others)?;
        sched_setaffinity(None, &allowed)?;
    }
    Ok(())
}

/// Whether a guest in namespaces of its own can be started here: one that was is the best proof.
pub(crate) fn try_namespaces() -> std::result::Result<(), String> {
    let mut early = EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    early.settle();
    if let Early::Ready(one) = &*early
        && matches!(one.isolation, Isolation::Namespaces { .. })
    {
        return Ok(());
    }
    let arguments = ["stockade-guest".to_owned()];
    let request = SpawnRequest {
        // It ends at once: nothing is handed to it. Dropping it waits for that.
        program: GuestImage::File(std::path::Path::new("/proc/self/exe")),
        arguments: &arguments,
        namespaces: Namespaces::Own { network: true },
        into_cgroup: None,
        inherit: Vec::new(),
    };
    spawn(&request).map(drop).map_err(|error| error.to_string())
}

fn starts_in_its_cgroup() -> bool {
    const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
    rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|found| found.f_type == CGROUP2_SUPER_MAGIC)
}

impl Started {
    /// The one that was started early, if it is what is needed.
    pub(crate) fn take_early(program: &GuestProgram, isolation: Isolation) -> Option<Self> {
        let mut early = EARLY.lock().unwrap_or_else(PoisonError::into_inner);
        early.settle();
        let Early::Ready(early) = std::mem::replace(&mut *early, Early::None) else {
            return None;
        };
        (early.program == program.path && early.isolation == isolation).then_some(early)
    }

    /// Starts one.
    pub(crate) fn new(
        driver: &str,
        program: &GuestProgram,
        isolation: Isolation,
        into_cgroup: Option<Birthplace<'_>>,
    ) -> Result<Self> {
        let (door, guest_door) = talk::pair(SocketType::SEQPACKET)?;
        let (link, guest_link) = talk::pair(SocketType::STREAM)?;
        let mut arguments = vec!["stockade-guest".to_owned()];
        arguments.extend(program.arguments.iter().cloned());
        let (image, namespaces) = match isolation {
            Isolation::Shared => (GuestImage::File(&program.path), Namespaces::Shared),
            Isolation::Namespaces { network, privileged } => {
                let image = if privileged {
                    GuestImage::Mount(protected(driver, program)?)
                } else {
                    GuestImage::Path(&program.path)
                };
                (image, Namespaces::Own { network })
            }
        };
        let inherit = vec![guest_door, guest_link];
        let request = SpawnRequest {
            program: image,
            arguments: &arguments,
            namespaces,
            into_cgroup,
            inherit,
        };
        let spawned =
            spawn(&request).map_err(|error| Error::building(driver, "start the guest", error.to_string()))?;
        let image = match request.program {
            GuestImage::Mount(tree) => Some(tree),
            GuestImage::File(_) | GuestImage::Path(_) => None,
        };
        Ok(Self {
            spawned,
            door,
            link,
            image,
            program: program.path.clone(),
            isolation,
        })
    }
}

/// A mount of the program that cannot be written through.
fn protected(driver: &str, program: &GuestProgram) -> Result<OwnedFd> {
    let failed =
        |(call, source)| Error::building(driver, "protect the guest's program", format!("{call}: {source}"));
    let tree = open_tree(&program.path, false).map_err(failed)?;
    make_read_only(&tree).map_err(failed)?;
    Ok(tree)
}
