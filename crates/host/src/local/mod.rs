//! What drivers share whose guest is a child of ours on this host's own kernel: its start, the
//! first words with it, its process and cgroups, its ids, and what can be read of it in /proc.
//! What the walls are is each driver's own.

pub(crate) mod boundary;
pub(crate) mod driver;
pub(crate) mod evidence;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod jail;
pub(crate) mod layers;
#[cfg(feature = "mutation")]
pub mod mutants;
pub(crate) mod receipt;
pub(crate) mod setup;
pub(crate) mod start;
pub(crate) mod support;
pub(crate) mod survey;
pub(crate) mod talk;
pub(crate) mod wall;

use std::sync::OnceLock;

use stockade_domain::Target;
use stockade_domain::target::{Facts, HostFacts};
use stockade_linux::cgroup::{self, CgroupSurvey};
use stockade_linux::ops::Program;

use crate::driver::Record;
use crate::error::Error;

pub use start::start_early;

/// A change of the set-up program that a test makes in order to see it noticed.
#[cfg(feature = "mutation")]
pub type Mutation = fn(&mut Program);

/// This host, surveyed once in the life of a driver: a program makes one for each command line.
#[derive(Default)]
pub(crate) struct Host {
    cgroups: OnceLock<CgroupSurvey>,
    target: OnceLock<Target>,
    #[cfg(feature = "mutation")]
    mutation: Option<Mutation>,
}

impl Host {
    #[cfg(feature = "mutation")]
    pub(crate) fn with_mutation(mutation: Mutation) -> Self {
        Self {
            mutation: Some(mutation),
            ..Self::default()
        }
    }

    /// Damages a set-up program, where a test asks for that.
    pub(crate) fn mutate(&self, program: &mut Program) {
        #[cfg(feature = "mutation")]
        if let Some(mutation) = self.mutation {
            mutation(program);
        }
        let _ = program;
    }

    pub(crate) fn target(&self) -> &Target {
        self.target.get_or_init(|| survey::survey(self.cgroups()))
    }

    pub(crate) fn cgroups(&self) -> &CgroupSurvey {
        self.cgroups.get_or_init(cgroup::survey)
    }

    pub(crate) fn facts(&self) -> &HostFacts {
        host_facts(self.target())
    }
}

/// The facts of a target that these drivers work on.
pub(crate) fn host_facts(target: &Target) -> &HostFacts {
    match &target.facts {
        Facts::Host(facts) => facts,
    }
}

impl Error {
    /// A step of building a sandbox failed, in words that need no remedy beside them.
    pub(crate) fn building(driver: &str, step: &str, cause: String) -> Self {
        Self::Create {
            driver: driver.to_owned(),
            step: step.to_owned(),
            cause,
            remedy: None,
        }
    }

    /// These sandboxes end with their supervisor.
    pub(crate) fn nothing_to_adopt(driver: &str, record: &Record) -> Self {
        Self::Create {
            driver: driver.to_owned(),
            step: format!("adopt sandbox {}", record.id),
            cause: format!("a {driver} sandbox ends with its supervisor, so there is nothing to adopt"),
            remedy: Some("run `stockade gc` to remove what it left".to_owned()),
        }
    }
}
