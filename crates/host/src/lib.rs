//! Everything between a policy and a running sandbox: drivers build walls; sessions, limits,
//! state, audit and cleanup are written once, on top of the driver seam.

pub mod audit;
pub mod driver;
pub mod drivers;
pub mod error;
pub mod open;
pub mod state;

pub use error::{Error, Result};
