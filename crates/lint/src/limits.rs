//! Bounds on what is read. Files come from repositories of strangers: each bound stands before memory or time is taken.

/// Bytes of one file, or of what an engine says of a container.
pub const MAX_BYTES: usize = 4 << 20;
/// How deep lists and maps may lie in each other, aliases followed.
pub const MAX_DEPTH: usize = 64;
/// Values of one file, aliases and merge keys followed: a few lines of YAML can stand for billions.
pub const MAX_VALUES: usize = 100_000;
/// Files that one compose file may bring in by `extends` and `include`.
pub const MAX_FILES: usize = 32;
/// Services on the way from one to the last that it extends.
pub const MAX_EXTENDS: usize = 16;
/// Services of a file that extend others: each repeats all that it extends.
pub const MAX_EXTENDING: usize = 256;
/// Settings of all workloads of a file.
pub const MAX_SETTINGS: usize = 200_000;
/// Characters of a value that a text repeats.
pub const MAX_SHOWN: usize = 120;
