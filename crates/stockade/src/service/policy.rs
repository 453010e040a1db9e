//! Policy files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use stockade_domain::policy::{HostDefaults, MAX_BYTES, Overrides, Policy, PolicyFile, parse_bytes};

use super::Result;
use crate::failure::Failure;

/// Reads a policy file; its mistakes are shown with their lines.
pub fn read(path: &Path) -> Result<PolicyFile> {
    let failed = |cause| Failure::read("policy", path, cause);
    let mut bytes = Vec::new();
    // Bounded: the name may be that of a device. One byte more, so that too much is noticed.
    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .map_err(failed)?
        .take(bound)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(parse_bytes(&bytes, &path.to_string_lossy())?)
}

/// Reads a policy file and puts it over the defaults: what contradicts itself is told too.
pub fn check(path: &Path) -> Result<()> {
    let defaults = Policy::defaults(&HostDefaults { memory_bytes: 0 });
    let policy = Policy::merge(defaults, Some(read(path)?), Overrides::default())?;
    super::driver(&policy.driver.value)?;
    Ok(())
}
