//! One suite of behaviours for every driver, driven through the real program.
//!
//! Every behaviour runs for every driver of [`driver::ALL`], where the driver claims the controls
//! that the behaviour needs; what it claims is read from its own plan. Where it does not, the
//! behaviour is not run and counted apart, and instead it is checked that the plan says so and
//! that a policy which requires it is refused. `--driver NAME` after the `--` of
//! `cargo test -p stockade-conformance --test conformance --` runs one driver alone.
//!
//! A behaviour is a row of a table: an id, its intent in one line, and a function or a
//! [`denial::Denial`]. A denial plants a canary with a random value, attacks it without a
//! sandbox (the control, which must reach it), and attacks it from inside. What counts is the
//! canary, never an exit code: an attack that could not run shows nothing.

pub mod ability;
pub mod attack;
pub mod behaviour;
pub mod canary;
pub mod claims;
pub mod denial;
pub mod driver;
pub mod host;
pub mod kept;
pub mod program;
pub mod results;
pub mod run;
pub mod suite;
pub mod tree;
pub mod world;

pub use ability::Ability;
pub use behaviour::{Behaviour, How, Stop, Verdict, fail, skip};
pub use driver::Driver;
pub use run::{Finished, Running, Sandbox};
pub use stockade_domain::ControlKind;
pub use suite::Suite;
pub use world::World;
