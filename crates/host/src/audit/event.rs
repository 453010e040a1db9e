//! The events.

use serde::Serialize;
use stockade_domain::{Exit, Level, Plan, Receipt, Usage};

use crate::driver::Leftover;
use crate::session::Command;

/// Longest argument that is written whole.
const MAX_ARGUMENT: usize = 1024;
/// Most arguments that are written.
const MAX_ARGUMENTS: usize = 64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// A sandbox is about to be made.
    Created {
        /// The driver.
        driver: String,
        /// What is shared with the host.
        level: Level,
        /// The workspace.
        workspace: Option<String>,
        /// Controls that will be enforced.
        enforced: Vec<String>,
        /// Preferred controls that will not be.
        shortfalls: Vec<Shortfall>,
    },
    /// It could not be made, or not as planned.
    Failed {
        /// Why.
        why: String,
    },
    /// The evidence, control by control.
    Receipt {
        /// As gathered.
        receipt: Receipt,
    },
    /// A command was started.
    ExecStarted {
        /// Its number in the sandbox.
        exec: u32,
        /// The command, shortened where it is long.
        command: Vec<String>,
        /// Names of its variables; values are never written.
        variables: Vec<String>,
        /// Where it was asked for.
        by: Asker,
    },
    /// A command ended, or could not be started.
    ExecEnded {
        /// Its number in the sandbox.
        exec: u32,
        /// How; none if it could not be started.
        exit: Option<Exit>,
        /// Why it could not be started.
        failure: Option<String>,
        /// Bytes that it wrote to standard output and error.
        output_bytes: u64,
    },
    /// A limit was reached and acted upon.
    LimitHit {
        /// Which.
        limit: String,
    },
    /// The sandbox was stopped from outside.
    Stopped {
        /// By what.
        by: String,
    },
    /// The sandbox was removed.
    Destroyed {
        /// What it used.
        usage: Option<Usage>,
        /// What could not be removed.
        leftovers: Vec<Leftover>,
    },
}

/// Where a command was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asker {
    /// It is the sandbox's first command.
    Run,
    /// Through the control socket.
    Control,
}

/// A preferred control that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// The control.
    pub control: String,
    /// What the driver says of it.
    pub why: String,
}

impl Event {
    /// A sandbox is about to be made after this plan.
    #[must_use]
    pub fn created(plan: &Plan) -> Self {
        let workspace = plan.spec().workspace.as_ref();
        Self::Created {
            driver: plan.driver().to_owned(),
            level: plan.level(),
            workspace: workspace.map(|workspace| workspace.source.display().to_string()),
            enforced: plan.enforced().map(ToString::to_string).collect(),
            shortfalls: plan.shortfalls().map(Shortfall::new).collect(),
        }
    }
}

impl Shortfall {
    fn new(planned: &stockade_domain::Planned) -> Self {
        use stockade_domain::Support;
        let why = match &planned.support {
            Support::Enforced { how, .. } => how.clone(),
            Support::Watched { how, overshoot, .. } => format!("only watched: {how}; {overshoot}"),
            Support::Absent { why, .. } => why.clone(),
        };
        Self {
            control: planned.demand.control.to_string(),
            why,
        }
    }
}

/// A command was started.
pub(crate) fn exec_started(exec: u32, command: &Command, by: Asker) -> Event {
    Event::ExecStarted {
        exec,
        command: shorten(
            command
                .argv
                .iter()
                .map(|word| word.to_string_lossy().into_owned()),
        ),
        variables: command.env.iter().map(|(name, _)| name.to_owned()).collect(),
        by,
    }
}

/// A command as it is written: bounded.
pub(crate) fn shorten(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    for (index, mut argument) in arguments.enumerate() {
        if index == MAX_ARGUMENTS {
            kept.push("…".to_owned());
            break;
        }
        if let Some((end, _)) = argument.char_indices().nth(MAX_ARGUMENT) {
            argument.truncate(end);
            argument.push('…');
        }
        kept.push(argument);
    }
    kept
}
