//! The ways to build a sandbox: one folder each, with the same file names.

pub mod native;
