//! Capabilities and what else gives a process rights: taken away for good, and read back.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySets, capabilities, capabilities_secure_bits,
    capability_is_in_ambient_set, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_no_new_privs,
};

pub use rustix::thread::CapabilitySet;

/// User id 0 means nothing, capabilities are lost with it, and no setting of these can be
/// taken back. The fix-up for `setuid` stays on: it only ever takes capabilities away.
const SECURE_BITS: CapabilitiesSecureBits = CapabilitiesSecureBits::NO_ROOT
    .union(CapabilitiesSecureBits::NO_ROOT_LOCKED)
    .union(CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED)
    .union(CapabilitiesSecureBits::KEEP_CAPS_LOCKED)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED);

/// A right could not be taken away or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error("capabilities: {call}: {source}; it needs CAP_SETPCAP in the own user namespace")]
    Call {
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// A call succeeded without the effect that it must have.
    #[error("capabilities: {what} after it was changed: the kernel did not do as told")]
    NotChanged {
        /// What was read back.
        what: &'static str,
    },
}

/// Empties all five capability sets of the calling thread for good, and checks that they
/// are empty. Idempotent.
///
/// # Errors
/// The first call that fails; the process must not go on.
pub fn drop_all() -> Result<(), Error> {
    lock_secure_bits()?;
    empty_bounding_set()?;
    release()
}

/// Makes sure that no capability can be gained: as [`drop_all`], but for those that the thread
/// has, which it may need until it has taken other ids. Needs CAP_SETPCAP.
///
/// # Errors
/// The first call that fails; the process must not go on.
pub fn bound() -> Result<(), Error> {
    lock_secure_bits()?;
    empty_bounding_set()
}

/// Gives up what the calling thread has, which needs no right. Capabilities that executing a
/// program could give are left to no_new_privs.
///
/// # Errors
/// The first call that fails; the process must not go on.
pub fn release() -> Result<(), Error> {
    clear_ambient_capability_set().or_else(|source| fail("prctl PR_CAP_AMBIENT_CLEAR_ALL", source))?;
    release_sets()
}

fn release_sets() -> Result<(), Error> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).or_else(|source| fail("capset", source))?;
    // The ambient set is always part of the permitted one, so it is empty too.
    let now = capabilities(None).or_else(|source| fail("capget", source))?;
    if now == none {
        Ok(())
    } else {
        Err(Error::NotChanged {
            what: "capabilities are left",
        })
    }
}

/// Lets capabilities survive `execve` under an ordinary user id. They must be permitted
/// already; they are made inheritable, too.
///
/// # Errors
/// The first call that fails.
pub fn raise_ambient(wanted: CapabilitySet) -> Result<(), Error> {
    let mut sets = capabilities(None).or_else(|source| fail("capget", source))?;
    sets.inheritable |= wanted;
    set_capabilities(None, sets).or_else(|source| fail("capset", source))?;
    for capability in each(wanted) {
        configure_capability_in_ambient_set(capability, true)
            .or_else(|source| fail("prctl PR_CAP_AMBIENT_RAISE", source))?;
        if !capability_is_in_ambient_set(capability).unwrap_or(false) {
            return Err(Error::NotChanged {
                what: "a capability is not ambient",
            });
        }
    }
    Ok(())
}

/// From now on `execve` gives no rights: no set-user-id, no file capabilities.
///
/// # Errors
/// The kernel's.
pub fn no_new_privs() -> Result<(), Error> {
    set_no_new_privs(true).or_else(|source| fail("prctl PR_SET_NO_NEW_PRIVS", source))?;
    match rustix::thread::no_new_privs() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotChanged {
            what: "no_new_privs is not set",
        }),
        Err(source) => fail("prctl PR_GET_NO_NEW_PRIVS", source),
    }
}

/// Whether processes of the same user may trace the calling one and read its files below
/// /proc. `execve` sets it again.
///
/// # Errors
/// The kernel's.
pub fn set_dumpable(dumpable: bool) -> Result<(), Error> {
    let wanted = if dumpable {
        DumpableBehavior::Dumpable
    } else {
        DumpableBehavior::NotDumpable
    };
    set_dumpable_behavior(wanted).or_else(|source| fail("prctl PR_SET_DUMPABLE", source))?;
    match dumpable_behavior() {
        Ok(now) if now == wanted => Ok(()),
        Ok(_) => Err(Error::NotChanged {
            what: "dumpable is as before",
        }),
        Err(source) => fail("prctl PR_GET_DUMPABLE", source),
    }
}

fn lock_secure_bits() -> Result<(), Error> {
    let now = capabilities_secure_bits().or_else(|source| fail("prctl PR_GET_SECUREBITS", source))?;
    if now.contains(SECURE_BITS) {
        return Ok(());
    }
    // What is set and locked already stays; KEEP_CAPS must not be locked while it is on.
    let wanted = now
        .difference(CapabilitiesSecureBits::KEEP_CAPS)
        .union(SECURE_BITS);
    set_capabilities_secure_bits(wanted).or_else(|source| fail("prctl PR_SET_SECUREBITS", source))?;
    match capabilities_secure_bits() {
        Ok(bits) if bits.contains(SECURE_BITS) => Ok(()),
        Ok(_) => Err(Error::NotChanged {
            what: "securebits are not locked",
        }),
        Err(source) => fail("prctl PR_GET_SECUREBITS", source),
    }
}

/// The kernel may know more or fewer capabilities than we do: it says EINVAL beyond its
/// last one.
fn empty_bounding_set() -> Result<(), Error> {
    for capability in each(CapabilitySet::all()) {
        let dropped = remove_capability_from_bounding_set(capability);
        match (capability_is_in_bounding_set(capability), dropped) {
            (Ok(false), _) => {}
            (Err(Errno::INVAL), _) => break,
            (Err(source), _) => return fail("prctl PR_CAPBSET_READ", source),
            (Ok(true), Err(source)) => return fail("prctl PR_CAPBSET_DROP", source),
            (Ok(true), Ok(())) => {
                return Err(Error::NotChanged {
                    what: "the bounding set is not empty",
                });
            }
        }
    }
    Ok(())
}

/// The capabilities of a set, one by one, lowest first.
fn each(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS)
        .map(|bit| CapabilitySet::from_bits_retain(1 << bit))
        .filter(move |capability| set.contains(*capability))
}

fn fail<T>(call: &'static str, source: Errno) -> Result<T, Error> {
    Err(Error::Call { call, source })
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Call { source, .. } => source.into(),
            Error::NotChanged { .. } => Self::other(error),
        }
    }
}
