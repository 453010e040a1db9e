//! Attacks by the ids of the catalogue of boundary checks, as data.

pub mod files;
pub mod kernel;
pub mod outside;
pub mod privileges;
pub mod processes;
