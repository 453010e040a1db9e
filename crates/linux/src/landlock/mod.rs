//! PLACEHOLDER by lead until "confine" lands: overwrite this file.
pub struct Rules { pub read: Vec<std::path::PathBuf>, pub write: Vec<std::path::PathBuf> }
pub struct Entered { pub abi: u32 }
pub fn abi() -> u32 { 0 }
pub fn enter(_: &Rules) -> std::io::Result<Entered> { Err(std::io::Error::other("placeholder")) }
pub fn enter_nested() -> std::io::Result<()> { Err(std::io::Error::other("placeholder")) }
