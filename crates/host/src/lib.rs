//! Everything between a policy and a running sandbox: drivers build walls; sessions, limits,
//! state, audit and cleanup are written once, on top of the driver seam.

pub mod audit;
pub mod checkpoints;
pub mod compose;
pub mod control;
pub mod copy;
pub mod doctor;
pub mod driver;
pub mod drivers;
pub mod error;
pub mod files;
pub mod gc;
pub mod layers;
mod local;
pub mod logs;
pub mod meter;
pub mod open;
pub mod outside;
pub mod session;
pub mod setup;
pub mod shim;
pub mod state;
mod sys;
pub mod takeover;
pub mod tool;
pub mod view;

pub use error::{Error, Result};
pub use stockade_workspace as workspace;
pub use sys::ignore_broken_pipes;
pub use tokio_util::sync::CancellationToken;
