//! The events.

use serde::Serialize;
use stockade_domain::{Exit, Level, Plan, Receipt, Usage};

use super::redact::Redactor;
use crate::driver::Leftover;
use crate::outside::HostChanges;
use crate::session::Command;

/// Longest argument that is written whole, in characters.
const MAX_ARGUMENT: usize = 1024;
/// Most arguments that are written.
const MAX_ARGUMENTS: usize = 64;
/// What is looked at of an argument. It is more than what is written, so that a secret at
/// the end of what is written is seen whole.
const MAX_LOOK: usize = 16 << 10;

/// Every kind of event, as it is written and asked for.
pub const KINDS: &[&str] = &[
    "created",
    "refused",
    "failed",
    "receipt",
    "exec-started",
    "exec-ended",
    "process-started",
    "process-ended",
    "limit-hit",
    "stopped",
    "checkpoint",
    "host-changed",
    "destroyed",
    "continued",
    "lost",
];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// A sandbox is about to be made.
    Created {
        /// The name that it was given.
        name: Option<String>,
        /// Who asked.
        by: By,
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
    /// What was asked for cannot be had here: there is no sandbox, and the id is this
    /// record's alone.
    Refused {
        /// Who asked.
        by: By,
        /// The command that was to be run, without secrets.
        command: Vec<String>,
        /// Why, in words.
        why: String,
        /// Controls that are missing, if that is why.
        missing: Vec<String>,
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
        /// The command, without secrets, shortened where it is long.
        command: Vec<String>,
        /// Names of its variables; values are never written.
        variables: Vec<String>,
        /// Who asked.
        by: By,
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
    /// A process inside is about to become a program. It may still fail: there may be no such
    /// file. What it was started with is as it stood in the process's memory.
    ProcessStarted(Start),
    /// A process that had become a program ended.
    ProcessEnded {
        /// Its number on the host.
        pid: u32,
        /// How; none where the kernel does not tell.
        exit: Option<Exit>,
    },
    /// A limit was reached and acted upon.
    LimitHit {
        /// Which.
        limit: String,
        /// Processes that it killed beside the command, which ended otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        killed: Option<u64>,
    },
    /// The sandbox was stopped from outside.
    Stopped {
        /// By what.
        by: String,
    },
    /// A command inside asked for a checkpoint of the changes.
    Checkpoint {
        /// Its number; none if there is none. It is that of an earlier one if nothing had changed.
        number: Option<u64>,
        /// What it was to be called.
        name: Option<String>,
        /// Nothing ran inside meanwhile.
        paused: bool,
        /// Why there is none.
        refused: Option<String>,
    },
    /// Files of the workspace changed on the host while the sandbox ran, as far as that was seen.
    HostChanged(HostChanges),
    /// The sandbox was removed.
    Destroyed {
        /// What it used.
        usage: Option<Usage>,
        /// What could not be removed.
        leftovers: Vec<Leftover>,
    },
    /// The first record of a sandbox in a file that is not its first.
    Continued {
        /// The file with the record before.
        from: String,
    },
    /// Something that happened is not here.
    Lost {
        /// What.
        what: Lost,
        /// How many.
        count: u64,
        /// Why.
        why: String,
    },
}

/// What can be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// Records of this file.
    Records,
    /// Starts and ends of processes, here.
    Processes,
    /// Records that are here and that another reader did not get.
    Sink(&'static str),
}

/// A process that is about to become a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Start {
    /// Its number on the host.
    pub pid: u32,
    /// Its parent's number on the host, if the parent was still there.
    pub parent: Option<u32>,
    /// The program as it was named, or the file behind a descriptor.
    pub program: String,
    /// Names that it tried before with the same arguments, as one does who looks for a program
    /// in several directories. Most of them will not have been there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
    /// Its arguments, without secrets, shortened where they are long.
    pub argv: Vec<String>,
    /// Its working directory, as seen inside.
    pub cwd: Option<String>,
    /// What could not be read of it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

impl Start {
    /// Most names of one record.
    const MAX_TRIED: usize = 64;

    /// True if they can be one record without a loss.
    pub(super) fn is_same_but_for_its_name(&self, other: &Self) -> bool {
        self.tried.len() < Self::MAX_TRIED
            && self.unread.is_none()
            && other.unread.is_none()
            && (self.pid, self.parent, &self.argv, &self.cwd)
                == (other.pid, other.parent, &other.argv, &other.cwd)
    }
}

/// Who asked for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct By {
    /// By which way.
    pub way: Asker,
    /// The user, on the host; none where the kernel does not tell.
    pub uid: Option<u32>,
    /// The process, on the host.
    pub pid: Option<u32>,
    /// That process's name, as it calls itself.
    pub program: Option<String>,
}

/// Where something was asked for.
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

impl By {
    /// This process, which was started for it.
    #[must_use]
    pub fn this_process() -> Self {
        Self::new(
            Asker::Run,
            Some(rustix::process::getuid().as_raw()),
            Some(std::process::id()),
        )
    }

    /// The process at the other end of a control connection.
    pub(crate) fn peer(stream: &tokio::net::UnixStream) -> Self {
        match stream.peer_cred() {
            Ok(peer) => {
                let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                Self::new(Asker::Control, Some(peer.uid()), pid)
            }
            Err(_) => Self::new(Asker::Control, None, None),
        }
    }

    fn new(way: Asker, uid: Option<u32>, pid: Option<u32>) -> Self {
        let name = |pid| std::fs::read(format!("/proc/{pid}/comm")).ok();
        let text = |name: Vec<u8>| String::from_utf8_lossy(&name).trim_end().to_owned();
        Self {
            way,
            uid,
            pid,
            program: pid.and_then(name).map(text),
        }
    }
}

impl Event {
    /// A sandbox is about to be made after this plan.
    #[must_use]
    pub fn created(plan: &Plan, name: Option<String>) -> Self {
        let workspace = plan.spec().workspace.as_ref();
        Self::Created {
            name,
            by: By::this_process(),
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

impl Event {
    /// The event without secrets, as it may be written.
    pub(super) fn redacted(&self, redactor: &Redactor) -> Self {
        let mut event = self.clone();
        match &mut event {
            Self::ExecStarted { command, .. } | Self::Refused { command, .. } => {
                *command = shorten(&redactor.words(command));
            }
            Self::ProcessStarted(start) => {
                start.argv = shorten(&redactor.words(&start.argv));
                start.program = clean(redactor, &start.program);
                for name in &mut start.tried {
                    *name = clean(redactor, name);
                }
            }
            Self::ExecEnded {
                failure: Some(text), ..
            }
            | Self::Failed { why: text } => *text = redactor.text(text),
            Self::Checkpoint { name, refused, .. } => {
                for text in [name, refused].into_iter().flatten() {
                    *text = clean(redactor, text);
                }
            }
            Self::HostChanged(changes) => {
                for path in &mut changes.paths {
                    *path = clean(redactor, path);
                }
            }
            Self::Created { .. }
            | Self::Receipt { .. }
            | Self::ExecEnded { .. }
            | Self::ProcessEnded { .. }
            | Self::LimitHit { .. }
            | Self::Stopped { .. }
            | Self::Destroyed { .. }
            | Self::Continued { .. }
            | Self::Lost { .. } => {}
        }
        event
    }

    /// True for what the workload itself can make happen as often as it likes.
    pub(super) fn is_of_process(&self) -> bool {
        matches!(
            self,
            Self::ProcessStarted(_) | Self::ProcessEnded { .. } | Self::Checkpoint { .. }
        )
    }
}

fn clean(redactor: &Redactor, text: &str) -> String {
    shorten(&[redactor.text(text)]).concat()
}

/// A command was started.
pub(crate) fn exec_started(exec: u32, command: &Command, by: By) -> Event {
    Event::ExecStarted {
        exec,
        command: texts(command.argv.iter().map(|word| word.to_string_lossy())),
        variables: command.env.iter().map(|(name, _)| name.to_owned()).collect(),
        by,
    }
}

/// Words as they are looked at: bounded, and more than is written.
pub(crate) fn texts<S: AsRef<str>>(words: impl Iterator<Item = S>) -> Vec<String> {
    let cut = |word: S| {
        let word = word.as_ref();
        let end = word
            .char_indices()
            .nth(MAX_LOOK)
            .map_or(word.len(), |(end, _)| end);
        word.get(..end).unwrap_or_default().to_owned()
    };
    words.take(MAX_ARGUMENTS + 1).map(cut).collect()
}

/// A command as it is written: bounded.
pub(crate) fn shorten(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index == MAX_ARGUMENTS {
            kept.push("…".to_owned());
            break;
        }
        kept.push(match argument.char_indices().nth(MAX_ARGUMENT) {
            Some((end, _)) => format!("{}…", argument.get(..end).unwrap_or_default()),
            None => argument.clone(),
        });
    }
    kept
}
