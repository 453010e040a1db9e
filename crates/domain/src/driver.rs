//! What is said of a driver as a whole.

use serde::{Deserialize, Serialize};

/// What a sandbox still shares with the host; later is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Own root directory or rules only.
    Jail,
    /// Own namespaces on the same kernel.
    Container,
    /// Own application kernel or language virtual machine.
    Kernel,
    /// Own kernel on virtual hardware.
    Vm,
    /// Another machine.
    Machine,
}

/// What can be done in a sandbox once it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// A guest inside: many commands, files, terminals.
    Full,
    /// One program and no guest (unikernel, wasm).
    Program,
}
