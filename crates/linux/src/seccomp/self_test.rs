//! Calls whose failure changes when the filter works: the guest makes them before and
//! after it installs it. None of them has an effect, with or without a filter.

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use super::{Error, Found, sys};

/// One call, and what it must fail with under the filter.
struct Canary {
    name: &'static str,
    call: fn() -> Result<(), Errno>,
    expected: Errno,
}

const CANARIES: [Canary; 4] = [
    Canary {
        name: "ioctl(TIOCSTI)",
        call: sys::type_into_nothing,
        expected: Errno::PERM,
    },
    Canary {
        name: "socket(AF_NETLINK, unknown protocol)",
        call: unknown_netlink,
        expected: Errno::AFNOSUPPORT,
    },
    Canary {
        name: "keyctl",
        call: sys::unknown_key_operation,
        expected: Errno::PERM,
    },
    Canary {
        name: "io_uring_setup",
        call: sys::ring_of_nothing,
        expected: Errno::PERM,
    },
];

/// A filter of somebody else around us, or a kernel setting, may refuse the last two
/// already. The first two always answer otherwise without our filter.
const CONCLUSIVE: usize = 2;

/// How the canaries behaved before.
#[derive(Clone, Copy, Debug)]
pub struct Baseline([Result<(), Errno>; CANARIES.len()]);

/// To be called before [`super::install`].
#[must_use]
pub fn before() -> Baseline {
    Baseline(CANARIES.map(|canary| (canary.call)()))
}

/// To be called after [`super::install`]: what was seen, one clause for each call that
/// behaves otherwise than before.
///
/// # Errors
/// A call does not behave as under the filter, or too few behave otherwise than before.
pub fn after(before: &Baseline) -> Result<Vec<String>, Error> {
    let mut seen = Vec::with_capacity(CANARIES.len());
    for (canary, before) in CANARIES.iter().zip(before.0) {
        let found = (canary.call)();
        if found != Err(canary.expected) {
            return Err(Error::Ineffective {
                call: canary.name,
                expected: canary.expected,
                found: Found(found),
            });
        }
        if before != found {
            seen.push(format!(
                "{}: {} before, {} after",
                canary.name,
                describe(before),
                describe(found)
            ));
        }
    }
    if seen.len() < CONCLUSIVE {
        return Err(Error::Inconclusive {
            conclusive: seen.len(),
        });
    }
    Ok(seen)
}

fn unknown_netlink() -> Result<(), Errno> {
    /// The kernel has 32 netlink protocols at most.
    const NO_PROTOCOL: u32 = 9999;
    let protocol = std::num::NonZeroU32::new(NO_PROTOCOL).map(Protocol::from_raw);
    socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )
    .map(drop)
}

/// The short name of an errno where one is expected here, else its number.
pub(super) fn describe(result: Result<(), Errno>) -> String {
    let Err(error) = result else {
        return "success".to_owned();
    };
    let name = match error {
        Errno::PERM => "EPERM",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::PROTONOSUPPORT => "EPROTONOSUPPORT",
        Errno::BADF => "EBADF",
        Errno::FAULT => "EFAULT",
        Errno::INVAL => "EINVAL",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::NOSYS => "ENOSYS",
        Errno::NOENT => "ENOENT",
        Errno::ACCESS => "EACCES",
        other => return format!("error {}", other.raw_os_error()),
    };
    name.to_owned()
}
