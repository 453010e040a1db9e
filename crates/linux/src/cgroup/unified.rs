//! Where groups go on a host with cgroup v2, where all controllers share one tree.
//!
//! The difficulty is the kernel's rule that a group with processes in it cannot hand
//! controllers on to groups below, except at the very top: our own group has a process, us.

use std::path::Path;

use stockade_domain::target::Fact;

use super::ASIDE;
use super::controller::Controller;
use super::layout::{Hierarchy, Mount, leaf, parent};
use super::record::{Kind, SeatRecord};
use super::survey::{Caller, Entry, Look, Way, barred};

type Decision = (Way, Vec<(Controller, Fact)>);

/// Decides; the first way that is open is taken, the least intrusive first.
pub(super) fn decide(hierarchy: &Hierarchy, caller: &Caller, look: &dyn Look) -> Decision {
    let own = hierarchy.own.as_str();
    let Some(mount) = &hierarchy.mount else {
        let why = format!("cgroup v2 is not mounted where {own} could be seen");
        return refused(&Fact::no(why, "mount -t cgroup2 none /sys/fs/cgroup"));
    };
    let view = View { mount, caller, look };
    view.stepped_aside(own)
        .or_else(|| view.alone_in_delegated(own))
        .or_else(|| view.top_of_tree())
        .or_else(|| view.scope())
        .unwrap_or_else(|| refused(&view.why_not(own)))
}

struct View<'a> {
    mount: &'a Mount,
    caller: &'a Caller,
    look: &'a dyn Look,
}

impl View<'_> {
    /// A process of ours, or we ourselves, stepped aside before: the group above is the base.
    fn stepped_aside(&self, own: &str) -> Option<Decision> {
        if leaf(own) != ASIDE {
            return None;
        }
        let seat = self.seat(parent(own), "cgroup.subtree_control")?;
        Some(self.found(&seat.controllers.clone(), Entry::Ready(seat)))
    }

    /// Our own group was delegated, by systemd's mark or because a namespace begins with it.
    fn alone_in_delegated(&self, own: &str) -> Option<Decision> {
        let directory = self.mount.directory(own)?;
        let handed_over = self.look.delegated(&directory) || (own == "/" && !self.is_top(&directory));
        if !handed_over || self.look.read(&directory, "cgroup.procs")?.trim() != self.caller.pid.to_string() {
            return None;
        }
        let seat = self.seat(own, "cgroup.controllers")?;
        Some(self.found(&seat.controllers.clone(), Entry::StepAside(seat)))
    }

    /// As root: the top of the tree, where systemd and its kin let controllers through. If
    /// nobody has, we do not either: that would change the host.
    fn top_of_tree(&self) -> Option<Decision> {
        if self.caller.euid != 0 || !self.mount.is_whole() {
            return None;
        }
        let seat = self.seat("/", "cgroup.subtree_control")?;
        Some(self.found(&seat.controllers.clone(), Entry::Ready(seat)))
    }

    /// As a user of a host with systemd: a scope of our own.
    fn scope(&self) -> Option<Decision> {
        let bus = self.caller.runtime_dir.join("bus");
        if self.caller.euid == 0 || !self.mount.is_whole() || !self.look.is_socket(&bus) {
            return None;
        }
        let controllers = Controller::in_list(&self.look.read(&self.manager()?, "cgroup.controllers")?);
        let entry = Entry::Scope {
            bus,
            mount: self.mount.point.clone(),
            controllers: controllers.clone(),
        };
        Some(self.found(&controllers, entry))
    }

    /// The directory of the user's systemd.
    fn manager(&self) -> Option<std::path::PathBuf> {
        let uid = self.caller.euid;
        self.mount
            .directory(&format!("/user.slice/user-{uid}.slice/user@{uid}.service"))
    }

    /// A base at `cgroup` with the controllers that its file `list` names, if there are any
    /// and groups can be made in it.
    fn seat(&self, cgroup: &str, list: &str) -> Option<SeatRecord> {
        let base = self.mount.directory(cgroup)?;
        let controllers = Controller::in_list(&self.look.read(&base, list)?);
        if controllers.is_empty() || self.look.writable(&base).is_err() {
            return None;
        }
        Some(SeatRecord {
            kind: Kind::V2,
            controllers,
            base,
            base_cgroup: cgroup.to_owned(),
        })
    }

    /// Only the top of the whole tree has no type.
    fn is_top(&self, directory: &Path) -> bool {
        self.look.read(directory, "cgroup.type").is_none()
    }

    fn found(&self, controllers: &[Controller], entry: Entry) -> Decision {
        let fact = |controller| {
            if controllers.contains(&controller) {
                Fact::Yes
            } else {
                self.withheld(controller, &entry)
            }
        };
        let facts = Controller::LIMITING
            .map(|controller| (controller, fact(controller)))
            .to_vec();
        (Way::V2(entry), facts)
    }

    /// Why one controller is missing where others are there.
    fn withheld(&self, controller: Controller, entry: &Entry) -> Fact {
        match entry {
            Entry::Ready(seat) | Entry::StepAside(seat) => {
                let base = seat.base.display();
                Fact::no(
                    format!("{base} does not hand {controller} on to the groups below it"),
                    format!("as root: echo +{controller} > {base}/cgroup.subtree_control"),
                )
            }
            Entry::Scope { .. } => Fact::no(
                format!("systemd does not delegate {controller} to users on this host"),
                format!(
                    "as root: write `[Service]` and `Delegate=cpu memory pids` ({controller} is what is missing) to \
                     /etc/systemd/system/user@.service.d/delegate.conf, then systemctl daemon-reload and log in again"
                ),
            ),
        }
    }

    /// Why no way is open.
    fn why_not(&self, own: &str) -> Fact {
        let top = &self.mount.point;
        if let Err(errno @ rustix::io::Errno::ROFS) = self.look.writable(top) {
            return barred(top, errno);
        }
        if self.caller.euid != 0 {
            return Fact::no(
                format!(
                    "no control group is delegated to user {}, and there is no user bus to ask for one",
                    self.caller.euid
                ),
                format!(
                    "have systemd run for this user (loginctl enable-linger, package dbus-user-session) so that {} exists, or run as root",
                    self.caller.runtime_dir.join("bus").display()
                ),
            );
        }
        let at = top.display();
        if !self.mount.is_whole() || !self.is_top(top) {
            return Fact::no(
                format!(
                    "the control group of this container, {own}, has other processes in it, so that cgroup v2 lets no limits be set below"
                ),
                format!(
                    "start Stockade as the container's only process, or move the others into {at}/init and write `+memory +pids +cpu` to {at}/cgroup.subtree_control"
                ),
            );
        }
        match self.look.writable(top) {
            Err(errno) => barred(top, errno),
            Ok(()) => Fact::no(
                format!("{at} hands no controllers on to groups below it"),
                format!("as root: echo '+memory +pids +cpu' > {at}/cgroup.subtree_control"),
            ),
        }
    }
}

fn refused(fact: &Fact) -> Decision {
    (
        Way::None,
        Controller::LIMITING
            .map(|controller| (controller, fact.clone()))
            .to_vec(),
    )
}
