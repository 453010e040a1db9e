//! Work with git inside, reviewed and taken over outside.

mod hostile;
mod places;
mod repository;
mod review;
mod submodules;
mod take;

pub use repository::Repository;
