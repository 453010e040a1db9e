//! The process between `clone3` and `execveat`: it shares our memory, so that nothing has
//! to be copied, and does nothing but system calls on a stack of its own.

pub(crate) mod sys;
