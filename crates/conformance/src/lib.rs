//! One suite of behaviours for every driver, driven through the real program.
//!
//! A driver that comes later gets the suite for nothing: `--driver NAME` after the `--` of
//! `cargo test -p stockade-conformance --test conformance --`, or `STOCKADE_DRIVER=NAME`.
//!
//! A behaviour is a row of a table: an id, its intent in one line, and a function or a
//! [`denial::Denial`]. A denial plants a canary with a random value, attacks it without a
//! sandbox (the control, which must reach it), and attacks it from inside. What counts is the
//! canary, never an exit code: an attack that could not run shows nothing.

pub mod attack;
pub mod behaviour;
pub mod canary;
pub mod denial;
pub mod host;
pub mod program;
pub mod run;
pub mod suite;
pub mod tree;
pub mod world;

pub use behaviour::{Behaviour, How, Stop, Verdict, fail, skip};
pub use run::{Finished, Running, Sandbox};
pub use suite::Suite;
pub use world::World;
