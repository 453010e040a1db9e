//! Files as people have them, and files as attackers write them.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)] // a failing set-up is a failing test

mod formats;
mod properties;
mod rules;
mod world;
