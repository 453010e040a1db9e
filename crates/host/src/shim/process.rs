//! What the pump needs of a command: one in this process's own session, or one asked for
//! through the control socket of another shim.

use std::future::Future;

use stockade_wire::WindowSize;

use crate::error::Result;
use crate::session::{Exec, ExecControl, ExecEvent, ExecInput};

/// A command that runs somewhere.
pub(crate) trait Process: Send {
    /// How it says that it ended.
    type End: Send;
    /// Its standard input.
    type Input: ProcessInput;
    /// Signals and sizes.
    type Control: ProcessControl;

    fn next(&mut self) -> impl Future<Output = Result<ExecEvent<Self::End>>> + Send;
    fn input(&self) -> Self::Input;
    fn control(&self) -> Self::Control;
}

/// The standard input of a command.
pub(crate) trait ProcessInput: Send {
    /// Waits for room; false: it reads no more.
    fn ready(&mut self) -> impl Future<Output = Result<bool>> + Send;
    /// How much can be pushed now.
    fn room(&self) -> usize;
    fn push(&mut self, bytes: &[u8]) -> usize;
    fn finish(&mut self);
    /// Waits until it reads no more.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

/// Signals and window sizes for a command.
pub(crate) trait ProcessControl: Send + Sync {
    fn signal(&self, number: u8, whole_group: bool) -> Result<()>;
    fn resize(&self, size: WindowSize) -> Result<()>;
}

impl Process for Exec {
    type End = stockade_wire::ExitStatus;
    type Input = ExecInput;
    type Control = ExecControl;

    fn next(&mut self) -> impl Future<Output = Result<ExecEvent>> + Send {
        Self::next(self)
    }

    fn input(&self) -> ExecInput {
        Self::input(self)
    }

    fn control(&self) -> ExecControl {
        Self::control(self)
    }
}

impl ProcessInput for ExecInput {
    fn ready(&mut self) -> impl Future<Output = Result<bool>> + Send {
        Self::ready(self)
    }

    fn room(&self) -> usize {
        Self::room(self).unwrap_or(0)
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        Self::push(self, bytes)
    }

    fn finish(&mut self) {
        Self::finish(self);
    }

    fn closed(&self) -> impl Future<Output = ()> + Send {
        Self::closed(self)
    }
}

impl ProcessControl for ExecControl {
    fn signal(&self, number: u8, whole_group: bool) -> Result<()> {
        Self::signal(self, number, whole_group)
    }

    fn resize(&self, size: WindowSize) -> Result<()> {
        Self::resize(self, size)
    }
}
