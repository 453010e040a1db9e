//! Stockade's pure model: what can be demanded of a sandbox, what a driver can enforce,
//! the plan that follows, and the evidence that it came true.
//!
//! Nothing here reads a file, asks the clock or calls the kernel: every function is a
//! function of its arguments, so every decision can be tested from data.

pub mod advise;
pub mod control;
pub mod demand;
pub mod driver;
pub mod ending;
pub mod environment;
pub mod plan;
pub mod policy;
pub mod receipt;
pub mod spec;
pub mod support;
pub mod target;
pub mod units;
pub mod view;

pub use control::{Control, ControlKind};
pub use demand::{Demand, Demands, Need, Origin};
pub use driver::{Level, SessionKind};
pub use ending::{Ended, Exit, Usage};
pub use plan::{Missing, Plan, Planned, Refusal};
pub use receipt::{Evidence, EvidenceKind, Finding, Receipt};
pub use spec::Spec;
pub use support::{Bounds, Enforcer, Support};
pub use target::Target;
