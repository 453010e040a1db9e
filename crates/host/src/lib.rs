//! Everything between a policy and a running sandbox: drivers build walls; sessions, limits,
//! state, audit and cleanup are written once, on top of the driver seam.
//!
//! A program that wants a sandbox creates one, runs commands, and removes it:
//!
//! ```standalone_crate
//! use std::sync::Arc;
//! use stockade_host::driver::GuestProgram;
//! use stockade_host::{Sandbox, drivers::native::Native, state::StateDirs};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The program itself becomes the first process of its sandboxes.
//! if std::env::args().next().as_deref() == Some("stockade-guest") {
//!     stockade_guest::main();
//! }
//! # let state = tempfile::tempdir_in("/var/tmp")?;
//! # let state = &state.path().join("stockade");
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let dirs = Arc::new(StateDirs::open(state)?);
//! let policy = "version = 1\n[workspace]\nmode = \"none\"";
//! let sandbox = Sandbox::create(&dirs, Arc::new(Native::new()), GuestProgram::this()?, policy).await?;
//! let done = sandbox.output(["sh", "-c", "echo from inside; ls -d /root/.ssh"]).await?;
//! assert_eq!(done.stdout, b"from inside\n");
//! sandbox.destroy().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```

pub mod audit;
pub mod checkpoints;
pub mod compose;
pub mod control;
pub mod copy;
pub mod doctor;
pub mod driver;
pub mod drivers;
pub mod error;
pub mod evidence;
pub mod files;
pub mod gc;
pub mod layers;
mod local;
pub mod logs;
pub mod meter;
pub mod open;
pub mod outside;
pub mod probed;
pub mod sandbox;
pub mod session;
pub mod setup;
pub mod shim;
pub mod state;
mod sys;
pub mod takeover;
pub mod tool;
mod transport;
pub mod view;

pub use error::{Error, Result};
#[cfg(feature = "mutation")]
pub use local::mutants;
pub use sandbox::Sandbox;
pub use stockade_workspace as workspace;
pub use sys::ignore_broken_pipes;
pub use tokio_util::sync::CancellationToken;
