//! Misconfigurations of containers: compose files, Kubernetes manifests, what engines say of their containers, and
//! Stockade's own policies.
//!
//! Each format is read once into [`model`]: workloads with settings, which know where they stand. The
//! rules are a table ([`rules`]), compared with settings and nothing else. What a reader does not
//! understand is an [`model::Unknown`]: nobody may take a file for clean that was understood in part.
//!
//! Nothing here reads a file or asks an engine: bytes come in, findings go out.

mod check;
mod compose;
mod error;
mod gather;
mod inspect;
mod json;
mod kubernetes;
pub mod limits;
pub mod model;
mod node;
mod policy;
mod read;
pub mod rules;
mod secrets;
mod variables;
mod yaml;

pub use check::{Checked, Finding, check};
pub use error::{LintError, Unreadable};
pub use node::Where;
pub use read::{Beside, NothingBeside, Options, read};
