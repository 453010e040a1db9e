//! Resource limits of a workload: a known posture instead of what the launcher's shell had.
//!
//! They are only ever lowered: raising needs a right that nobody here has. Limits on memory,
//! processes and time are kept by control groups and the supervisor, which count a whole
//! sandbox and not each process.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One limit: the values are upper bounds for what is inherited.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Which resource.
    pub resource: Resource,
    /// Its name, as `ulimit` or the manual has it.
    pub name: &'static str,
    /// Value in force, which the workload may raise up to `hard`.
    pub soft: u64,
    /// Ceiling.
    pub hard: u64,
    /// Why, in a clause.
    pub reason: &'static str,
}

/// As inherited.
const ANY: u64 = u64::MAX;
const MIB: u64 = 1 << 20;

/// What a workload starts with.
pub const WORKLOAD: &[Limit] = &[
    limit(
        Resource::Core,
        "core",
        0,
        0,
        "a core file would put secrets in memory into the workspace, or start a helper on the host",
    ),
    limit(
        Resource::Rtprio,
        "rtprio",
        0,
        0,
        "no real-time priority: it could starve the host",
    ),
    limit(Resource::Nice, "nice", 0, 0, "no priority above the normal one"),
    limit(
        Resource::Memlock,
        "memlock",
        8 * MIB,
        8 * MIB,
        "memory that cannot be swapped; the kernel's default",
    ),
    limit(
        Resource::Msgqueue,
        "msgqueue",
        819_200,
        819_200,
        "message queues; the kernel's default",
    ),
    limit(
        Resource::Sigpending,
        "sigpending",
        16_384,
        16_384,
        "queued signals are kernel memory",
    ),
    limit(
        Resource::Nofile,
        "nofile",
        1024,
        ANY,
        "programs that use select(2) fail with more; others raise it themselves",
    ),
    limit(
        Resource::Stack,
        "stack",
        8 * MIB,
        ANY,
        "the kernel's default; without a limit the memory layout gets predictable",
    ),
];

const fn limit(resource: Resource, name: &'static str, soft: u64, hard: u64, reason: &'static str) -> Limit {
    Limit {
        resource,
        name,
        soft,
        hard,
        reason,
    }
}

/// A limit could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource limit {name}: {source}; report it with the output of `ulimit -a` and `ulimit -aH`")]
pub struct Error {
    /// Which limit.
    pub name: &'static str,
    /// What the kernel said.
    pub source: Errno,
}

/// Sets all limits of [`WORKLOAD`] for the calling process and what it starts. Does not
/// allocate.
///
/// # Errors
/// The first limit that could not be set.
pub fn apply_workload() -> Result<(), Error> {
    for limit in WORKLOAD {
        let inherited = getrlimit(limit.resource);
        let wanted = lowered(limit, &inherited);
        if wanted != inherited {
            setrlimit(limit.resource, wanted).map_err(|source| Error {
                name: limit.name,
                source,
            })?;
        }
    }
    Ok(())
}

/// Both bounds, but never above what is inherited. No value means no limit.
fn lowered(limit: &Limit, inherited: &Rlimit) -> Rlimit {
    let hard = limit.hard.min(inherited.maximum.unwrap_or(ANY));
    let soft = limit.soft.min(inherited.current.unwrap_or(ANY)).min(hard);
    let value = |bound: u64| (bound != ANY).then_some(bound);
    Rlimit {
        current: value(soft),
        maximum: value(hard),
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        error.source.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Limit = limit(Resource::Nofile, "nofile", 1024, 4096, "a test");

    fn from(current: Option<u64>, maximum: Option<u64>) -> (Option<u64>, Option<u64>) {
        let limits = lowered(&SAMPLE, &Rlimit { current, maximum });
        (limits.current, limits.maximum)
    }

    /// Values are bounds: what is lower stays.
    #[test]
    fn limits_are_only_lowered() {
        assert_eq!(from(None, None), (Some(1024), Some(4096)));
        assert_eq!(from(Some(256), None), (Some(256), Some(4096)));
        assert_eq!(from(Some(256), Some(512)), (Some(256), Some(512)));
        assert_eq!(from(Some(9000), Some(9000)), (Some(1024), Some(4096)));
    }

    /// "As inherited" changes nothing.
    #[test]
    fn any_keeps_the_ceiling() {
        let open = limit(Resource::Stack, "stack", 1024, ANY, "a test");
        let kept = lowered(
            &open,
            &Rlimit {
                current: None,
                maximum: None,
            },
        );
        assert_eq!((kept.current, kept.maximum), (Some(1024), None));
    }

    /// Soft values are below hard ones, so that setting them cannot fail.
    #[test]
    fn table_is_in_order() {
        assert!(
            WORKLOAD
                .iter()
                .all(|limit| limit.soft <= limit.hard && !limit.reason.is_empty())
        );
    }
}
