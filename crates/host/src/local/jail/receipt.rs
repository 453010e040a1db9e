//! Evidence of what jails have in common: what was refused in place of namespaces, who ends the
//! sandbox, and which canaries could not be used any more.

use std::path::Path;

use stockade_domain::Finding;
use stockade_linux::ops::Canary;

use crate::local::evidence::{self, Thread};
use crate::local::receipt::{Basis, all, attested, host, list, number};

impl Basis<'_> {
    /// All of these canaries could be used before the walls stood, and not after.
    pub(crate) fn canaries(&self, expected: &[Canary]) -> Finding {
        let seen = &self.attestation.canaries;
        let missing = expected.iter().find(|one| !seen.contains(one));
        let found = missing.map_or_else(
            || format!("{} canaries usable before, EACCES after", seen.len()),
            |one| format!("{:?} {} was not tried", one.way, one.path.display()),
        );
        attested(
            missing.is_none() && !seen.is_empty(),
            "every canary refused",
            found,
        )
    }

    /// Landlock refuses what it allowed before.
    pub(crate) fn landlock(&self) -> Finding {
        let seen = &self.attestation.landlock;
        attested(
            !seen.is_empty(),
            "Landlock refuses what it allowed before",
            list(seen),
        )
    }

    /// Writing in the copy of the workspace is possible.
    pub(crate) fn copy_written(&self, copy: Option<&Path>) -> Finding {
        let written = &self.attestation.writable;
        attested(
            copy.is_some_and(|copy| written.iter().any(|one| one == copy)),
            "a write in the copy of the workspace succeeds",
            "a file was written in the copy and removed",
        )
    }

    /// No socket can be made.
    pub(crate) fn no_sockets(&self) -> Finding {
        self.refused("sockets", &self.attestation.substitutes.network)
    }

    /// No IPC object can be made or used.
    pub(crate) fn no_ipc(&self) -> Finding {
        self.refused(
            "System V IPC and message queues",
            &self.attestation.substitutes.ipc,
        )
    }

    /// No metadata can be changed.
    pub(crate) fn no_metadata(&self) -> Finding {
        self.refused("changes of metadata", &self.attestation.substitutes.metadata)
    }

    /// No namespaces can be made.
    pub(crate) fn no_namespaces(&self) -> Finding {
        self.refused("new namespaces", &self.attestation.substitutes.namespaces)
    }

    fn refused(&self, what: &str, seen: &[String]) -> Finding {
        all([
            self.filtered(),
            attested(
                !seen.is_empty(),
                &format!("the filter refuses {what}"),
                list(seen),
            ),
        ])
    }

    /// The guest is out of reach for what runs below it: by its posture, by the scope of signals,
    /// and because the filter keeps its limits and priorities from others.
    pub(crate) fn guest_out_of_reach(&self) -> Finding {
        all([
            self.guest_protected(),
            attested(
                self.attestation.signals_kept,
                "signals are kept inside",
                "the supervisor could be signalled before, EPERM after",
            ),
            attested(
                self.attestation.nested_landlock,
                "commands in a Landlock domain below the guest's",
                if self.attestation.nested_landlock {
                    "the guest puts each command into a domain below its own"
                } else {
                    "commands share the guest's domain"
                },
            ),
            self.refused(
                "limits and priorities of other processes",
                &self.attestation.substitutes.processes,
            ),
        ])
    }

    /// Two processes watch: the guest its supervisor, the keeper its guest.
    pub(crate) fn ends_with_supervisor(&self) -> Finding {
        let signals = attested(
            self.attestation.signals_kept,
            "signals to all processes reach this sandbox alone",
            "signals are kept inside",
        );
        all([signals, self.keeper()])
    }

    /// The keeper lives, belongs to the guest, and has the guest's rights.
    fn keeper(&self) -> Finding {
        const EXPECTED: &str = "a keeper with the guest's rights";
        let Some(pid) = self.observed.keeper else {
            return host(false, EXPECTED, "none");
        };
        let parent = evidence::parent(pid);
        let threads = match evidence::threads(pid) {
            Ok(threads) => threads,
            Err(why) => return Finding::Unchecked { why },
        };
        let uid = self.observed.identity.host_uid();
        let like_guest = |thread: &Thread| {
            thread.capabilities_released
                && thread.no_new_privs
                && Some(thread.uid) == uid
                && thread.seccomp == self.seen.threads.first().map_or(2, |guest| guest.seccomp)
        };
        let holds = parent == Ok(self.observed.pid) && !threads.is_empty() && threads.iter().all(like_guest);
        let found = format!("keeper {pid}, child of {}", number(parent.ok()));
        host(holds, EXPECTED, found)
    }
}
