//! Applying change sets and taking it back.

mod checkpoints;
mod faults;
mod full;
mod hostile;
mod inside;
mod kill;
mod merge;
mod partial;
mod pending;
mod random;
mod repository;
mod thousand;
mod world;

/// Sets the permission bits of a path.
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Says that a test cannot check anything here.
fn skip(name: &str, why: &str) {
    use std::io::Write;
    let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") else {
        return;
    };
    let log = std::fs::File::options().append(true).create(true).open(log);
    writeln!(log.expect("the skip log"), "SKIP {name}: {}", why.trim()).expect("the skip log");
}
