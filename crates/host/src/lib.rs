//! Everything between a policy and a running sandbox: drivers build walls; sessions, limits,
//! state, audit and cleanup are written once, on top of the driver seam.

pub mod audit;
pub mod compose;
pub mod driver;
pub mod drivers;
pub mod error;
pub mod gc;
pub mod open;
pub mod session;
pub mod state;
pub mod shim;
pub mod tool;
pub mod control;
mod sys;
pub mod view;

pub use error::{Error, Result};
