//! What this host's control groups can do for us: decided from texts, so that tests can bring
//! those of other hosts.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use stockade_domain::target::Fact;

use super::budget::Budget;
use super::controller::Controller;
use super::files::Dir;
use super::layout::{Hierarchy, Layout};
use super::limits::GroupLimits;
use super::record::{Kind, SeatRecord};
use super::{Error, Result, unified};

/// Attributes that systemd puts on a group whose subtree it hands over.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Which controllers can be used by this process, and where its groups go.
#[derive(Clone, Debug)]
pub struct CgroupSurvey {
    pub(super) layout: Layout,
    pub(super) way: Way,
    facts: Vec<(Controller, Fact)>,
}

/// Where groups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nowhere.
    None,
    /// In one base for each hierarchy.
    V1(Vec<SeatRecord>),
    /// In one base, once it is entered.
    V2(Entry),
}

/// How a base of cgroup v2 comes to hand on its controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It does already.
    Ready(SeatRecord),
    /// It is delegated to us, and we are its only process: we step aside into a group below.
    StepAside(SeatRecord),
    /// The user's systemd, at this socket, makes one for us in the tree mounted at `mount`.
    Scope {
        /// The socket of the user's bus.
        bus: PathBuf,
        /// Where the whole tree is mounted.
        mount: PathBuf,
        /// What it will be able to limit.
        controllers: Vec<Controller>,
    },
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub euid: u32,
    pub pid: i32,
    pub runtime_dir: PathBuf,
}

/// The looks at the host that deciding takes.
pub(super) trait Look {
    /// Whether groups can be made in a directory.
    fn writable(&self, directory: &Path) -> std::result::Result<(), Errno>;
    /// The content of a file in a directory.
    fn read(&self, directory: &Path, name: &str) -> Option<String>;
    /// Whether systemd marked it as delegated.
    fn delegated(&self, directory: &Path) -> bool;
    /// Whether there is a socket.
    fn is_socket(&self, path: &Path) -> bool;
}

/// Looks at this host. Costs some 50 µs and starts nothing.
#[must_use]
pub fn survey() -> CgroupSurvey {
    let euid = rustix::process::geteuid().as_raw();
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let caller = Caller {
        euid,
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        runtime_dir: runtime_dir.unwrap_or_else(|| PathBuf::from(format!("/run/user/{euid}"))),
    };
    let read =
        |path| std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"));
    match (read("/proc/self/cgroup"), read("/proc/self/mountinfo")) {
        (Ok(cgroup), Ok(mountinfo)) => CgroupSurvey::from_texts(&cgroup, &mountinfo, &caller, &ThisHost),
        (Err(why), _) | (_, Err(why)) => {
            CgroupSurvey::nothing(&why, "mount /proc, and boot a kernel with control groups")
        }
    }
}

impl CgroupSurvey {
    /// Decides from the texts of /proc/self/cgroup and /proc/self/mountinfo.
    pub(super) fn from_texts(cgroup: &str, mountinfo: &str, caller: &Caller, look: &dyn Look) -> Self {
        let layout = match Layout::parse(cgroup, mountinfo) {
            Ok(layout) => layout,
            Err(why) => {
                let why = format!("/proc/self/cgroup or mountinfo is not understood: {why}");
                return Self::nothing(&why, "report this with both files");
            }
        };
        let (way, facts) = if Controller::LIMITING
            .into_iter()
            .any(|one| layout.v1(one).is_some())
        {
            on_v1(&layout, look)
        } else if let Some(hierarchy) = layout.v2() {
            unified::decide(hierarchy, caller, look)
        } else {
            return Self::nothing(
                "no cgroup hierarchy is mounted here",
                "mount -t cgroup2 none /sys/fs/cgroup",
            );
        };
        Self { layout, way, facts }
    }

    fn nothing(why: &str, fix: &str) -> Self {
        let facts = Controller::LIMITING
            .map(|controller| (controller, Fact::no(why, fix)))
            .to_vec();
        Self {
            layout: Layout::default(),
            way: Way::None,
            facts,
        }
    }

    /// Whether memory can be limited.
    #[must_use]
    pub fn memory(&self) -> Fact {
        self.fact(Controller::Memory)
    }

    /// Whether the number of processes can be limited.
    #[must_use]
    pub fn pids(&self) -> Fact {
        self.fact(Controller::Pids)
    }

    /// Whether processor time can be limited.
    #[must_use]
    pub fn cpu(&self) -> Fact {
        self.fact(Controller::Cpu)
    }

    /// Which interface groups have here: on v2 a process is born into its group, which then has
    /// to exist before it; on v1 it joins by itself. None where no group can be made.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match &self.way {
            Way::None => None,
            Way::V1(_) => Some(Kind::V1),
            Way::V2(_) => Some(Kind::V2),
        }
    }

    /// Whether all groups that are made in this place of the tree lie in one: only then can they
    /// be limited together.
    #[must_use]
    pub fn together(&self) -> Fact {
        match &self.way {
            Way::V2(Entry::Scope { .. }) => Fact::no(
                "each sandbox is in a scope of its own that the user's systemd made, and no group of ours is around them",
                "run as root, or start them from one unit with Delegate=yes",
            ),
            Way::None | Way::V1(_) | Way::V2(Entry::Ready(_) | Entry::StepAside(_)) => Fact::Yes,
        }
    }

    /// By what mechanism groups are made here, in a clause.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        match &self.way {
            Way::None => "no control groups",
            Way::V1(_) => "cgroup v1",
            Way::V2(Entry::Ready(_) | Entry::StepAside(_)) => "cgroup v2",
            Way::V2(Entry::Scope { .. }) => "cgroup v2, in a scope delegated by the user's systemd",
        }
    }

    fn fact(&self, controller: Controller) -> Fact {
        let found = self
            .facts
            .iter()
            .find(|(one, _)| *one == controller)
            .map(|(_, fact)| fact.clone());
        found.unwrap_or_else(|| Fact::No {
            why: format!("{controller} is not looked for"),
            fix: None,
        })
    }

    /// Refuses limits whose controllers cannot be used: a limit is never left out in silence.
    pub(super) fn must_hold(&self, limits: &GroupLimits, budget: &Budget) -> Result<()> {
        for controller in limits.needs().into_iter().chain(budget.needs()) {
            if let Fact::No { why, fix } = self.fact(controller) {
                return Err(Error::Unusable { controller, why, fix });
            }
        }
        Ok(())
    }
}

/// Decides where controllers have hierarchies of their own.
fn on_v1(layout: &Layout, look: &dyn Look) -> (Way, Vec<(Controller, Fact)>) {
    let mut seats = Vec::new();
    let mut facts = Vec::new();
    for hierarchy in layout.hierarchies.iter().filter(|one| one.kind == Kind::V1) {
        let fact = match hierarchy.own_directory() {
            None => not_mounted(hierarchy),
            Some(base) => match look.writable(&base) {
                Err(errno) => barred(&base, errno),
                Ok(()) => {
                    let (controllers, base_cgroup) = (hierarchy.controllers.clone(), hierarchy.own.clone());
                    seats.push(SeatRecord {
                        kind: Kind::V1,
                        controllers,
                        base,
                        base_cgroup,
                    });
                    Fact::Yes
                }
            },
        };
        facts.extend(
            hierarchy
                .controllers
                .iter()
                .map(|controller| (*controller, fact.clone())),
        );
    }
    for controller in Controller::LIMITING
        .into_iter()
        .filter(|one| layout.v1(*one).is_none())
    {
        facts.push((controller, not_on_v1(controller)));
    }
    (Way::V1(seats), facts)
}

fn not_mounted(hierarchy: &Hierarchy) -> Fact {
    let names: Vec<_> = hierarchy
        .controllers
        .iter()
        .map(|controller| controller.name())
        .collect();
    let (names, group) = (names.join(","), &hierarchy.own);
    Fact::no(
        format!("the cgroup v1 hierarchy of {names} is not mounted where {group} could be seen"),
        format!("mount -t cgroup -o {names} none /sys/fs/cgroup/{names}"),
    )
}

fn not_on_v1(controller: Controller) -> Fact {
    Fact::no(
        format!("other controllers are on cgroup v1 here, {controller} is not"),
        format!(
            "mount -t cgroup -o {controller} none DIRECTORY, or boot with systemd.unified_cgroup_hierarchy=1"
        ),
    )
}

/// Why no groups can be made in a directory.
pub(super) fn barred(directory: &Path, errno: Errno) -> Fact {
    let at = directory.display();
    match errno {
        Errno::ROFS => Fact::no(
            format!("{at} is mounted read-only, as in most containers"),
            "run Stockade outside of the container, or give the container a writable cgroup tree of its own",
        ),
        Errno::ACCESS | Errno::PERM => Fact::no(
            format!("{at} belongs to another user"),
            "run as root, or have an administrator delegate a control group to you",
        ),
        other => Fact::no(
            format!("{at} cannot be used: {other}"),
            "mount the cgroup file system there",
        ),
    }
}

/// The real host.
struct ThisHost;

impl Look for ThisHost {
    fn writable(&self, directory: &Path) -> std::result::Result<(), Errno> {
        let dir = Dir::open(directory).map_err(|error| error.errno().unwrap_or(Errno::NODEV))?;
        dir.writable()
    }

    fn read(&self, directory: &Path, name: &str) -> Option<String> {
        Dir::open(directory).ok()?.read(name).ok()
    }

    fn delegated(&self, directory: &Path) -> bool {
        Dir::open(directory).is_ok_and(|dir| DELEGATED.into_iter().any(|attribute| dir.flagged(attribute)))
    }

    fn is_socket(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|data| data.file_type().is_socket())
    }
}

#[cfg(test)]
mod tests;
