//! One suite of behaviours for every driver, driven through the real program.
//!
//! Every behaviour runs for every driver of [`driver::ALL`], where the driver claims the controls
//! that the behaviour needs; what it claims is read from its own plan. Where it does not, the
//! behaviour is not run and counted apart, and instead it is checked that the plan says so and
//! that a policy which requires it is refused. `--driver NAME` after the `--` of
//! `cargo test -p stockade-conformance --test conformance --` runs one driver alone.
//!
//! A behaviour is a row of a table: an id, its intent in one line, and a function or a
//! [`stockade_probes::Probe`]: a boundary that an attack must not cross.

pub mod ability;
pub mod behaviour;
pub mod claims;
pub mod driver;
pub mod kept;
pub mod program;
pub mod results;
pub mod suite;
pub mod world;

pub use ability::Ability;
pub use behaviour::{Behaviour, How};
pub use driver::Driver;
pub use stockade_domain::ControlKind;
// What attacks need, every behaviour needs.
pub use stockade_probes::run::{Finished, Running, Sandbox};
pub use stockade_probes::{
    Stop, Verdict, broken, canary, denial, ensure, fail, host, inside as attack, run, skip, terminal, tree,
};
pub use suite::Suite;
pub use world::World;
