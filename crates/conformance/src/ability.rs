//! What programs inside can do that is no protection, and that some drivers cannot offer.

use stockade_domain::ControlKind;

use crate::ensure;
use crate::world::World;
use stockade_probes::{Verdict, fail};

/// Something that a program can do inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Workspace, home and /tmp are where they are outside.
    Places,
    /// Modes, times and attributes of own files can be changed.
    Modes,
    /// /proc shows the sandbox's own processes.
    Procfs,
    /// The links of /proc/self: a program's own file, a terminal's name.
    OwnLinks,
    /// Unix sockets, and a loopback of its own.
    Sockets,
    /// /dev/shm.
    SharedMemory,
    /// /tmp and /dev/shm are in memory.
    MemoryFiles,
    /// Another root directory.
    Image,
    /// Namespaces can be left to the command.
    Namespaces,
    /// Files of the system are replaced by others: `/etc/passwd` …
    Replaced,
    /// The caches of package managers lie over the host's.
    Caches,
    /// The workspace and directories of the host can be written in place.
    InPlace,
    /// Parts of such a tree stay closed or read-only.
    Holes,
}

/// An ability that a driver does not have.
pub struct Lack {
    /// Which.
    pub ability: Ability,
    /// What there is instead.
    pub instead: Instead,
}

/// What there is in place of an ability.
#[derive(Clone, Copy)]
pub enum Instead {
    /// It is there where this control is given up.
    Without(ControlKind),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

impl Lack {
    /// An ability that a control takes away.
    #[must_use]
    pub const fn without(ability: Ability, control: ControlKind) -> Self {
        Self {
            ability,
            instead: Instead::Without(control),
        }
    }

    /// An ability that is never there, and why.
    #[must_use]
    pub const fn altogether(ability: Ability, why: &'static str) -> Self {
        Self {
            ability,
            instead: Instead::Nothing(why),
        }
    }
}

/// What shows an ability: it ends with 0 where it is there.
struct Proof {
    flags: &'static [&'static str],
    script: &'static str,
}

const IN_PLACE: &[&str] = &["--workspace-mode", "rw"];

impl Ability {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Places => "places as outside",
            Self::Modes => "changing modes",
            Self::Procfs => "procfs",
            Self::OwnLinks => "the links of /proc/self",
            Self::Sockets => "sockets",
            Self::SharedMemory => "shared memory",
            Self::MemoryFiles => "files in memory",
            Self::Image => "images",
            Self::Namespaces => "namespaces",
            Self::Replaced => "replaced files",
            Self::Caches => "caches",
            Self::InPlace => "writing in place",
            Self::Holes => "holes in writable trees",
        }
    }

    fn proof(self) -> Proof {
        let plain = |script| Proof { flags: &[], script };
        match self {
            Self::Places => plain("test \"$(pwd -P)\" = \"$(cat place)\""),
            Self::Modes => plain("> own && chmod 640 own && test $(stat -c %a own) = 640"),
            Self::Procfs => plain("cat /proc/self/stat"),
            Self::OwnLinks => plain("readlink /proc/self/exe"),
            Self::Sockets => plain("./attack do socket"),
            Self::SharedMemory => plain("> /dev/shm/own"),
            Self::MemoryFiles => plain("test $(stat -f -c %T /tmp) = tmpfs"),
            Self::Image => Proof {
                flags: &["--image", "/"],
                script: "true",
            },
            Self::Namespaces => plain("unshare --user --map-root-user true"),
            Self::Replaced => plain("grep -q ^user: /etc/passwd"),
            Self::Caches => plain("ls ~/.npm/_cacache/index-v5"),
            Self::InPlace => Proof {
                flags: IN_PLACE,
                script: "> own",
            },
            Self::Holes => Proof {
                flags: IN_PLACE,
                script: "true",
            },
        }
    }

    /// That it is lacking indeed: a list that is not true any more is a fault of the list.
    ///
    /// # Errors
    /// It is there.
    pub fn is_lacking(self, world: &World) -> Verdict {
        let proof = self.proof();
        drop(world.payload_inside());
        if self == Self::Holes {
            // What runs on the host later is kept read-only.
            world.file("work/.envrc", "")?;
        }
        world.file("home/.npm/_cacache/index-v5/00", "zero")?;
        world.file("work/place", world.work().display().to_string())?;
        let finished = world.sandbox().flags(proof.flags).shell(proof.script)?;
        ensure!(
            finished.code != 0,
            "it is said to lack {}, and has it: {}",
            self.name(),
            finished.all()
        );
        if finished.code == 125 && proof.flags.is_empty() {
            return fail(format!("no sandbox stood: {}", finished.all()));
        }
        Ok(())
    }
}
