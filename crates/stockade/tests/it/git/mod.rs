//! Work with git inside, reviewed and taken over outside.

mod hostile;
mod repository;
mod review;

pub use repository::Repository;
