//! What can go wrong in the program itself: what, why, and what to do.

use std::path::{Path, PathBuf};

use stockade_domain::plan::Missing;
use stockade_domain::policy::PolicyError;

use crate::report;

/// Why a command of Stockade did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A sandbox could not be planned, built, used or removed.
    #[error(transparent)]
    Host(#[from] stockade_host::Error),
    /// There is no evidence, or none that is believed.
    #[error(transparent)]
    Evidence(#[from] stockade_host::evidence::EvidenceError),
    /// A policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A layer of the policy cannot be used.
    #[error(transparent)]
    Layer(#[from] stockade_host::layers::LayerError),
    /// A policy means nothing on this host.
    #[error(transparent)]
    Compose(#[from] stockade_host::compose::ComposeError),
    /// The current directory is gone.
    #[error("cannot read the current directory: {0}\n    fix: change to a directory that exists")]
    NoCurrentDirectory(std::io::Error),
    /// A file of variables cannot be used.
    #[error(transparent)]
    EnvFile(#[from] stockade_domain::environment::EnvFileError),
    /// A file that was named cannot be read.
    #[error("cannot read {what} {}: {cause}\n    fix: {fix}", path.display())]
    Read {
        /// What it is for: a flag or "policy".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to do.
        fix: &'static str,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}\n    fix: choose a directory that is yours and has room", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A path that cannot stand in a policy.
    #[error(
        "{flag} {path:?}: the path is not UTF-8\n    fix: rename it, or reach it through a link with another name"
    )]
    NotText {
        /// The flag.
        flag: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// There is no such driver.
    #[error("there is no driver called {name}\n    fix: {}", fix(known, suggestion.as_deref()))]
    UnknownDriver {
        /// What was asked for.
        name: String,
        /// All that exist.
        known: Vec<&'static str>,
        /// The nearest of them.
        suggestion: Option<&'static str>,
    },
    /// None of the drivers can enforce what is required.
    #[error("{}", no_driver(refusal.as_ref(), others))]
    NoDriver {
        /// What the strongest says.
        refusal: Option<stockade_domain::Refusal>,
        /// All that were asked.
        others: Vec<crate::service::auto::PassedOver>,
    },
    /// The last probe of the driver that was named shows that it does not hold what is required.
    #[error(transparent)]
    Contradicted(Box<crate::service::probed::Contradicted>),
    /// `--status-fd` names no open descriptor.
    #[error(
        "--status-fd {number}: {cause}\n    fix: open it for the command, for example with 3>events.json"
    )]
    StatusFd {
        /// The number.
        number: i32,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A copy needs one end inside and one outside.
    #[error(
        "one of source and destination has to be in a sandbox, and the other on the host\n    fix: write the one inside as NAME:/PATH; a path of the host that looks like it as ./NAME:/PATH"
    )]
    NotOneInside,
    /// A flag that only a detached sandbox can have.
    #[error("{0} is for sandboxes that live without a terminal\n    fix: add --detach, or leave it out")]
    NeedsDetach(&'static str),
    /// Too little of the output would be kept.
    #[error("--log-size: too small\n    fix: write at least {}", stockade_domain::units::ByteCount(*.0))]
    LogTooSmall(u64),
    /// The process that becomes the supervisor cannot be started.
    #[error(
        "cannot start the sandbox's supervisor: {0}\n    fix: mount /proc, and see that you may start processes (`ulimit -u`)"
    )]
    NoSupervisor(std::io::Error),
    /// The supervisor ended and did not say why.
    #[error(
        "the sandbox's supervisor ended before the sandbox stood: {0}\n    fix: run `stockade gc`, and try again"
    )]
    SupervisorEnded(String),
    /// Changes are not kept apart, so there is no set of them.
    #[error(
        "--changes and --fresh: this workspace is not copy-on-write, so no changes are kept apart\n    fix: leave the flag out, or use --workspace-mode cow"
    )]
    NoChangeSet,
    /// The guest that is installed beside this program cannot be trusted.
    #[error("{}: {why}, so it cannot be the guest\n    fix: chmod go-w it and chown it to the owner of this program, or remove it", path.display())]
    GuestProgram {
        /// The program, or a directory that it is in.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// There is neither a command nor a topic of this name.
    #[error("there is no help on {name}\n    fix: {}", fix(known, suggestion.as_deref()))]
    UnknownTopic {
        /// What was asked for.
        name: String,
        /// All topics.
        known: Vec<&'static str>,
        /// The nearest of them.
        suggestion: Option<&'static str>,
    },
    /// A checkpoint that was asked for inside a sandbox.
    #[error("no checkpoint: {0}\n    fix: try again later, or let it be taken outside: stockade checkpoint")]
    Asked(String),
    /// This sandbox takes no checkpoints from inside.
    #[error(
        "this sandbox takes no checkpoints from inside\n    fix: start it with --checkpoints-from-inside, or take them outside"
    )]
    NotAsked,
    /// What only somebody outside may do.
    #[error(
        "the changes of a sandbox cannot be taken back from inside\n    fix: end it, and call `stockade rewind` outside"
    )]
    NotFromInside,
    /// `--changes` inside a sandbox.
    #[error("--changes: a sandbox has one change set, and sees no other\n    fix: leave the flag out")]
    OwnChangesOnly,
    /// Only root can mend a host.
    #[error(
        "setup writes below /etc, which only root may\n    fix: sudo stockade setup (--dry-run shows what it would write)"
    )]
    NeedsRoot,
    /// A question would go unanswered.
    #[error(
        "setup asks before it writes, and standard input is no terminal\n    fix: look at it with --dry-run, then give --yes"
    )]
    NobodyToAsk,
    /// A path that no change set of the project can hold.
    #[error("{} is not in the project {}\n    fix: name paths in the project, relative to the current directory", path.display(), project.display())]
    NotInProject {
        /// The path.
        path: PathBuf,
        /// The project.
        project: PathBuf,
    },
    /// A file of answers cannot be used.
    #[error("{}: {cause}\n    fix: write the answers as `stockade choose --json` shows them under `threat`, in TOML", path.display())]
    Threat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A question was not answered.
    #[error("no answer: nothing was chosen\n    fix: give the answers as flags (stockade choose --help)")]
    NoAnswer,
    /// A description of workloads cannot be used.
    #[error(transparent)]
    Lint(#[from] stockade_lint::LintError),
    /// There is no such rule.
    #[error("there is no rule called {name}{}\n    fix: stockade lint --rules shows all", suggestion.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownRule {
        /// What was to be ignored.
        name: String,
        /// The nearest that exists.
        suggestion: Option<String>,
    },
    /// The table of rules.
    #[error("the table of rules: {0}\n    fix: this is a fault of this build, report it")]
    Rules(toml::de::Error),
    /// A name that is no file, and no engine to ask for a container.
    #[error(
        "{name}: there is no such file, and neither docker nor podman is installed to ask for a container\n    fix: check the name, or give the output of `docker inspect` as a file or by `-`"
    )]
    NoEngine {
        /// What was asked for.
        name: String,
    },
    /// The tables of the advisor.
    #[error(transparent)]
    Advice(#[from] stockade_domain::advise::TableError),
    /// There is no such group of probes, or no such probe.
    #[error("there is no {what} called {name}{}\n    fix: stockade probe --list shows all", suggestion.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownProbes {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// The nearest that exists.
        suggestion: Option<&'static str>,
    },
    /// The inside half of the battery is not installed.
    #[error("the attacks of the battery are not installed: there is no {}\n    fix: install stockade-probes there, or build it: cargo build --release -p stockade-probes", places.iter().map(|at| at.display().to_string()).collect::<Vec<_>>().join(" and no "))]
    NoProbes {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// The inside half of the battery cannot be used.
    #[error("{}: {why}, so it cannot attack for this program\n    fix: install the stockade-probes of this build, owned by the owner of this program and writable for nobody else", path.display())]
    ForeignProbes {
        /// The program.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Somebody asked it to end.
    #[error(
        "interrupted: nothing is told of what was probed, and what was planted is removed\n    fix: run it again; --driver and --category make it shorter"
    )]
    Interrupted,
    /// The battery itself could not work.
    #[error(
        "the battery cannot work here: {0}\n    fix: see that the directory for temporary files and the state directory can be written"
    )]
    Battery(String),
    /// There is no room for the program itself.
    #[error("cannot start: {0}\n    fix: raise the limit on open files (`ulimit -n`)")]
    Runtime(std::io::Error),
    /// A decision is needed and nobody is there to make it.
    #[error(
        "nothing was applied: there is no terminal to ask on\n    fix: say what to apply: --safe, --all, or the paths"
    )]
    NothingChosen,
    /// As for [`Self::NothingChosen`].
    #[error("nothing was discarded: there is no terminal to ask on\n    fix: name the paths, or say --yes")]
    NothingToDiscard,
    /// The terminal or a standard stream failed.
    #[error("standard streams: {0}")]
    Streams(#[from] std::io::Error),
}

impl Failure {
    /// A file that was named cannot be read.
    pub fn read(what: &'static str, path: &Path, cause: std::io::Error) -> Self {
        let fix = match cause.kind() {
            std::io::ErrorKind::NotFound => "check the name; it is relative to the current directory",
            std::io::ErrorKind::PermissionDenied => "make it readable for the user that runs stockade",
            _ => "name a file of text",
        };
        Self::Read {
            what,
            path: path.to_owned(),
            cause,
            fix,
        }
    }

    /// A file cannot be written.
    pub fn write(path: &Path, cause: std::io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            cause,
        }
    }

    /// Nobody reads what we write any more.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Host(stockade_host::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The exit code of the program.
    pub fn code(&self) -> i32 {
        match self {
            Self::Host(error) => error.exit_code(),
            _ => 125,
        }
    }

    /// The required controls that are missing, if that is the reason.
    pub fn missing(&self) -> &[Missing] {
        match self {
            Self::Host(error) => match error.root() {
                stockade_host::Error::Refused(refusal) => &refusal.missing,
                _ => &[],
            },
            Self::NoDriver {
                refusal: Some(refusal),
                ..
            } => &refusal.missing,
            Self::Contradicted(one) => &one.missing,
            _ => &[],
        }
    }

    /// No sandbox is begun because a wall is not as it has to be: that is recorded.
    pub fn is_refusal(&self) -> bool {
        !self.missing().is_empty() || matches!(self, Self::Contradicted(_) | Self::NoDriver { .. })
    }
}

/// The strongest driver's refusal in full, and of the others what they lack.
fn no_driver(
    refusal: Option<&stockade_domain::Refusal>,
    asked: &[crate::service::auto::PassedOver],
) -> String {
    let mut text = refusal.map_or_else(|| "refused: no driver works here".to_owned(), ToString::to_string);
    let told = refusal.map(|refusal| refusal.driver.as_str());
    for one in asked.iter().filter(|one| Some(one.driver.as_str()) != told) {
        text.push_str(&format!("\n  nor can driver {}: {}", one.driver, one.why));
    }
    text
}

fn fix(known: &[&str], suggestion: Option<&str>) -> String {
    match suggestion {
        Some(near) => format!("did you mean {near}? There are: {}", known.join(", ")),
        None => format!("choose one of: {}", known.join(", ")),
    }
}

/// Ends the program in order where it, or a library that it uses, gives up: the kernel then ends
/// the sandboxes that it supervises.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let why = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let why = why.unwrap_or("an unknown cause");
        let file = |at: &std::panic::Location<'_>| {
            let name = Path::new(at.file()).file_name()?.to_str()?.to_owned();
            Some(format!(" ({name}, line {})", at.line()))
        };
        let place = panic.location().and_then(file).unwrap_or_default();
        report::error(&format!(
            "Stockade gave up: {why}{place}\n    fix: no sandbox of this process runs any more, and `stockade gc` removes what is left; if \
             memory and descriptors are not short, report this"
        ));
        std::process::exit(crate::FAILED);
    }));
}
