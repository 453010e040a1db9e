//! What makes a change dangerous on the host.

use serde::Serialize;

/// Why a person should look at a change before it reaches the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Runs as another user: set-user-id or set-group-id.
    Setid,
    /// Git runs it, or it tells git what to run.
    Git,
    /// A shell or another program runs it when it starts.
    Startup,
    /// An editor runs it, or what it names, when it opens the project.
    Editor,
    /// An AI agent obeys it or runs what it names.
    Agent,
    /// A CI service runs it.
    Ci,
    /// Tells Stockade what to allow.
    Policy,
    /// A link that leads out of the project.
    LinkOut,
    /// A named pipe, a socket or a device.
    Special,
    /// A name that looks like another, or whose letters are not all visible.
    Name,
    /// A build, test or package tool runs it.
    Build,
    /// A file that can be executed now and could not before.
    Executable,
}
