//! The battery: attacks on a sandbox from inside, each with a canary of the host and a control.
//!
//! A [`Probe`] is a row of the [`catalogue`]: an id, its intent, how severe a breach is, which
//! controls keep it out, and how it is tried. Most are a [`denial::Denial`]: a canary with a random
//! value is planted, attacked without a sandbox (the control, which must reach it), planted anew
//! and attacked from inside. What counts is the canary, never an exit code: an attack that could
//! not run shows nothing.
//!
//! The inside half ([`inside`]) is a program of its own, sent to where it is needed: what runs as
//! a sandbox's first process holds no attack. Who runs it there is a [`Wall`]; where canaries are
//! planted is a [`Ground`].

pub mod battery;
pub mod canary;
pub mod catalogue;
pub mod denial;
pub mod finished;
pub mod ground;
pub mod host;
pub mod inside;
pub mod probe;
pub mod project;
pub mod report;
pub mod rpc;
pub mod run;
pub mod streams;
pub mod terminal;
pub mod tree;
pub mod verdict;
pub mod wall;

pub use finished::{Finished, finish};
pub use ground::Ground;
pub use probe::{Probe, Severity};
pub use project::Project;
pub use report::{Outcome, Report};
pub use verdict::{Stop, Verdict, broken, fail, skip};
/// Names this build of the battery: its two halves must agree.
pub const FINGERPRINT: &str = env!("STOCKADE_PROBES_FINGERPRINT");

pub use wall::{Field, Setting, Wall};
