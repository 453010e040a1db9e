//! Everything between a policy and a running sandbox: drivers build walls; sessions, limits,
//! state, audit and cleanup are written once, on top of the driver seam.

pub mod driver;
pub mod error;

pub use error::{Error, Result};
