//! Applying change sets and taking it back.

mod faults;
mod hostile;
mod kill;
mod partial;
mod random;
mod world;

/// Sets the permission bits of a path.
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}
