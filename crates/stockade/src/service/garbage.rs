//! What killed supervisors left behind.

use stockade_host::gc::{self, Options};

use super::{Result, drivers, state};

pub use stockade_host::gc::Report;

/// Removes it, or only tells.
///
/// # Errors
/// The state directory cannot be read.
pub async fn collect(dry_run: bool, everywhere: bool) -> Result<Report> {
    Ok(gc::collect(
        &state()?,
        &drivers()?,
        Options {
            dry_run,
            everywhere,
            ..Options::default()
        },
    )
    .await?)
}
