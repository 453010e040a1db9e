//! The drivers that the suite knows, as data: one entry each.

use stockade_domain::ControlKind;

use crate::ability::{Ability, Lack};
use crate::host;

/// A driver under test.
pub struct Driver {
    /// What users write after `--driver`.
    pub name: &'static str,
    /// Who cannot use it at all.
    pub refuses: Option<Refusal>,
    /// Walls of the default policy that it does not have: each gets a `--prefer`. That a policy
    /// that requires one is refused is checked in place of each behaviour that needs it.
    pub gives_up: &'static [ControlKind],
    /// What programs can do elsewhere and not, or not without further flags, here.
    pub lacks: &'static [Lack],
    /// It brings the system's directories into each root, which takes seconds the first time.
    pub brings: bool,
}

/// Somebody who gets no sandbox from a driver.
pub struct Refusal {
    /// Who it is.
    pub who: Who,
    /// What the refusal says.
    pub says: &'static str,
}

/// Who runs the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root.
    Root,
    /// An ordinary user.
    User,
}

/// Every driver, the default one first.
pub const ALL: &[Driver] = &[NATIVE, LANDLOCK, CHROOT];

const NATIVE: Driver = Driver {
    name: "native",
    refuses: None,
    gives_up: &[],
    lacks: &[],
    brings: false,
};

const LANDLOCK: Driver = Driver {
    name: "landlock",
    refuses: Some(Refusal {
        who: Who::Root,
        says: "run as an ordinary user",
    }),
    gives_up: &[
        ControlKind::NamesHidden,
        ControlKind::ProcessesHidden,
        ControlKind::HostnamePrivate,
        ControlKind::SecondWall,
    ],
    lacks: &[
        // The filter cannot tell the sandbox's own files from the host's.
        Lack::without(Ability::Modes, ControlKind::MetadataProtected),
        Lack::altogether(Ability::Places, "copy, home and /tmp are at paths of their own"),
        Lack::altogether(Ability::Procfs, "there is no rule for /proc/PID"),
        Lack::altogether(
            Ability::Sockets,
            "the filter refuses sockets, not even a loopback is there",
        ),
        Lack::altogether(Ability::SharedMemory, "there is no /dev/shm and no rule for one"),
        Lack::altogether(Ability::MemoryFiles, "/tmp is on disk"),
        Lack::altogether(Ability::Image, "there is no root directory of its own"),
        Lack::altogether(Ability::Namespaces, "a domain of Landlock keeps mounting away"),
        Lack::altogether(Ability::Replaced, "what the view replaces is closed"),
        Lack::altogether(Ability::Caches, "nothing can be laid over the host's caches"),
        Lack::altogether(Ability::Holes, "rules only add, so such a tree is refused"),
    ],
    brings: false,
};

const CHROOT: Driver = Driver {
    name: "chroot",
    refuses: Some(Refusal {
        who: Who::User,
        says: "only root can change the root directory",
    }),
    gives_up: &[ControlKind::ProcessesHidden, ControlKind::HostnamePrivate],
    lacks: &[
        Lack::altogether(Ability::Procfs, "/proc is empty"),
        Lack::altogether(Ability::OwnLinks, "/proc is empty"),
        Lack::altogether(
            Ability::Sockets,
            "the filter refuses sockets, not even a loopback is there",
        ),
        Lack::altogether(Ability::MemoryFiles, "/tmp and /dev/shm are on disk"),
        Lack::altogether(
            Ability::Namespaces,
            "the kernel makes no user namespaces below a changed root",
        ),
        Lack::altogether(Ability::Caches, "nothing can be laid over the host's caches"),
        Lack::altogether(Ability::InPlace, "without mounts there are copies alone"),
        Lack::altogether(Ability::Holes, "without mounts there are copies alone"),
    ],
    brings: true,
};

impl Who {
    /// Whoever runs this.
    #[must_use]
    pub fn this() -> Self {
        if host::is_root() { Self::Root } else { Self::User }
    }

    /// The word for it in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
        }
    }
}

impl Driver {
    /// The driver of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|driver| driver.name == name)
    }

    /// Flags of every run but one that asks for what is given up.
    #[must_use]
    pub fn flags(&self, required: Option<ControlKind>) -> Vec<String> {
        let given_up = self.gives_up.iter().filter(|kind| required != Some(**kind));
        let prefer = given_up.flat_map(|kind| ["--prefer".to_owned(), kind.name().to_owned()]);
        ["--driver".to_owned(), self.name.to_owned()]
            .into_iter()
            .chain(prefer)
            .collect()
    }

    /// What it says to somebody whom it refuses.
    #[must_use]
    pub fn refusal(&self, who: Who) -> Option<&'static str> {
        let refusal = self.refuses.as_ref().filter(|refusal| refusal.who == who)?;
        Some(refusal.says)
    }

    /// How an ability is lacking.
    #[must_use]
    pub fn lack(&self, ability: Ability) -> Option<&'static Lack>
    where
        Self: 'static,
    {
        let own = Self::named(self.name)?;
        own.lacks.iter().find(|lack| lack.ability == ability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_not_given_up() {
        let all = LANDLOCK.flags(None);
        assert_eq!(all[..4], ["--driver", "landlock", "--prefer", "names-hidden"]);
        assert_eq!(all.len(), 10);
        let required = LANDLOCK.flags(Some(ControlKind::NamesHidden));
        assert!(required.len() == 8 && !required.contains(&"names-hidden".to_owned()));
    }

    #[test]
    fn names_are_told_apart() {
        for driver in ALL {
            assert_eq!(
                Driver::named(driver.name).map(|found| found.name),
                Some(driver.name)
            );
        }
        assert!(Driver::named("natve").is_none());
    }
}
